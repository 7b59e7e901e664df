package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/build"
)

// analyzed gathers what is judged together. A later object replaces an earlier
// one of the same name, as applying it would.
type analyzed struct {
	subjects map[subjectKey]*subject
}

type subjectKey struct {
	kind            schema.GroupKind
	namespace, name string
}

// subject is one object in the version that the operator reads.
type subject struct {
	kind   analyzedKind
	object map[string]any
	// reported is whether what is wrong with it is told, source where it was
	// read.
	reported bool
	source   string
	found    []analysisFinding
}

func newAnalyzed() *analyzed { return &analyzed{subjects: map[subjectKey]*subject{}} }

// addLive adds the cluster's objects; reported says of which namespaces they
// are told about. The namespace of what has none is empty.
func (a *analyzed) addLive(ctx context.Context, c *cluster, reported func(namespace string) bool) error {
	for _, kind := range analyzedKinds {
		resource := kind.version.GroupVersion().WithResource(kind.resource)
		list, err := c.objects.Resource(resource).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("the cluster does not know %s: is Heddle installed? See `heddle check`", resource.GroupResource())
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", resource.GroupResource(), err)
		}
		for _, item := range list.Items {
			key := subjectKey{kind.version.GroupKind(), item.GetNamespace(), item.GetName()}
			object := item.Object
			object["apiVersion"], object["kind"] = kind.version.GroupVersion().String(), kind.version.Kind
			a.subjects[key] = &subject{kind: kind, object: object, reported: kind.mesh() && reported(item.GetNamespace())}
		}
	}
	return nil
}

// addManifest adds an object that may be anything; one that is of no use to
// the mesh is left out.
func (a *analyzed) addManifest(m manifest, namespace string) {
	apiVersion, _ := m.object["apiVersion"].(string)
	name, _ := m.object["kind"].(string)
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return
	}
	kind, ok := analyzedKindOf(version.WithKind(name).GroupKind())
	if !ok {
		return
	}
	metadata, _ := m.object["metadata"].(map[string]any)
	key := subjectKey{kind: kind.version.GroupKind()}
	key.name, _ = metadata["name"].(string)
	if !kind.clusterScoped {
		key.namespace, _ = metadata["namespace"].(string)
		key.namespace = cmp.Or(key.namespace, namespace)
		metadata = maps.Clone(metadata)
		if metadata == nil {
			metadata = map[string]any{}
		}
		metadata["namespace"] = key.namespace
		m.object = maps.Clone(m.object)
		m.object["metadata"] = metadata
	}
	s := &subject{kind: kind, object: m.object, reported: kind.mesh(), source: m.source}
	if before := a.subjects[key]; before != nil && before.source != "" {
		s.say(severityWarning, "metadata.name", "", "the same object stands before in "+before.source+"; remove one of the two")
	}
	if current, err := kind.current(m.object); err != nil {
		s.say(severityError, "apiVersion", heddlev1alpha1.ReasonInvalid, err.Error())
		s.object = nil
	} else {
		s.object = current
	}
	a.subjects[key] = s
}

func (s *subject) say(severity severity, field, reason, message string) {
	s.found = append(s.found, analysisFinding{Severity: severity, Field: field, Reason: reason, Message: message})
}

// judge judges every object by itself and all together. Apart from a cluster,
// what isn't there may be elsewhere.
func (a *analyzed) judge(apart bool) analysis {
	var objects build.Objects
	for _, key := range a.keys() {
		s := a.subjects[key]
		if s.object == nil {
			continue
		}
		if err := s.kind.decode(s.object, &objects); err != nil {
			for _, what := range undecoded(err) {
				s.say(severityError, fieldIn(what), heddlev1alpha1.ReasonInvalid, what+"; see `kubectl explain "+s.kind.resource+"`")
			}
		}
		if s.kind.mesh() {
			s.alone()
		}
	}
	for key, s := range a.subjects {
		a.target(key, s, apart)
	}
	_, findings := build.Build(objects)
	for _, f := range findings {
		key := subjectKey{schema.GroupKind{Group: f.Object.Group, Kind: f.Object.Kind}, f.Object.Namespace, f.Object.Name}
		s := a.subjects[key]
		switch {
		case s == nil:
		case f.Type == heddlev1alpha1.ConditionConflicted && f.OK:
			s.say(severityError, "spec", f.Reason, f.Message)
		case f.Type == heddlev1alpha1.ConditionResolvedRefs && !f.OK:
			for _, p := range f.Problems {
				s.unresolved(p.Reason, p.Message, apart)
			}
		}
	}
	return a.report()
}

// target looks for the Deployment that a Canary releases.
func (a *analyzed) target(key subjectKey, s *subject, apart bool) {
	if key.kind != heddlev1alpha1.GroupVersion.WithKind("Canary").GroupKind() || s.object == nil {
		return
	}
	name, _, err := unstructured.NestedString(s.object, "spec", "targetRef", "name")
	if err != nil || name == "" {
		return // strict decoding and validation have said so
	}
	if a.subjects[subjectKey{appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind(), key.namespace, name}] == nil {
		s.unresolved(heddlev1alpha1.ReasonTargetNotFound,
			fmt.Sprintf("spec.targetRef.name: there is no Deployment %s/%s; create it or name another", key.namespace, name), apart)
	}
}

// alone judges the object by itself.
func (s *subject) alone() {
	result, err := validate.JSON(s.kind.version, rawOf(s.object))
	if err != nil {
		return // strict decoding has said so
	}
	for _, p := range result.Errors {
		s.say(severityError, p.Field, p.Reason, p.Message)
	}
	for _, p := range result.Warnings {
		s.say(severityWarning, p.Field, p.Reason, p.Message)
	}
}

// unresolved takes over what the build says of a reference; of one that is wrong
// by itself it has been said.
func (s *subject) unresolved(reason, message string, apart bool) {
	field, message, _ := strings.Cut(message, ": ")
	if severity, tell := severityOf(reason, apart); tell && !s.said(field, message) {
		s.say(severity, field, reason, message)
	}
}

func (s *subject) said(field, message string) bool {
	return slices.ContainsFunc(s.found, func(f analysisFinding) bool { return f.Field == field && f.Message == message })
}

// severityOf says how bad a reference is that doesn't lead to what it should.
func severityOf(reason string, apart bool) (level severity, tell bool) {
	switch reason {
	case heddlev1alpha1.ReasonBackendNoEndpoints:
		return severityWarning, !apart // manifests have no endpoints
	case heddlev1alpha1.ReasonServiceNotFound, heddlev1alpha1.ReasonBackendNotFound, heddlev1alpha1.ReasonRouteNotFound,
		heddlev1alpha1.ReasonTargetNotFound:
		if apart {
			return severityWarning, true
		}
	}
	return severityError, true
}

// fieldIn returns the field that a message of strict decoding quotes.
func fieldIn(message string) string {
	if _, rest, ok := strings.Cut(message, `"`); ok {
		field, _, _ := strings.Cut(rest, `"`)
		return field
	}
	return "spec"
}

// keys are in an order that people can follow.
func (a *analyzed) keys() []subjectKey {
	return slices.SortedFunc(maps.Keys(a.subjects), func(x, y subjectKey) int {
		return cmp.Or(cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.kind.Kind, y.kind.Kind), cmp.Compare(x.name, y.name))
	})
}
