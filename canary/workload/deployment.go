// Package workload copies a Deployment to its primary, scales the candidate
// and keeps the three Services that lead to them.
//
//	target Deployment -> <target>-primary; Services <root>, <root>-primary, <root>-canary
//
// What it makes carries the label heddle.dev/canary and no owner reference: it
// outlives the Canary, because it is what serves.
package workload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/canary/engine"
)

const (
	// LabelCanary names the Canary that something was made for.
	LabelCanary = "heddle.dev/canary"

	annotationRevision         = "heddle.dev/revision"
	annotationPreviousRevision = "heddle.dev/previous-revision"
	annotationPreviousTemplate = "heddle.dev/previous-template"
)

var (
	// ErrOwnedElsewhere is returned for an object of the right name that was
	// made by somebody else. It is never overwritten.
	ErrOwnedElsewhere = errors.New("owned elsewhere")
	// ErrMissing is returned for what a Canary names and isn't there.
	ErrMissing = errors.New("missing")
	// ErrUnsupported is returned for a target that can't be released so.
	ErrUnsupported = errors.New("unsupported")
)

// Pair is a target and its primary as they were read together. Primary is nil
// when there is none.
type Pair struct {
	Client          client.Client
	Canary          string
	Target, Primary *appsv1.Deployment
}

// PrimaryName is the name of a target's primary.
func PrimaryName(target string) string { return target + "-primary" }

// Revision is the hash of a template's content. Empty fields don't count, so
// that a newer API with more fields gives the same hash.
func Revision(template corev1.PodTemplateSpec) (string, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	tree, _ = prune(tree)
	raw, err = json.Marshal(tree) // keys are sorted
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:5]), nil
}

// prune leaves out members that are null or empty objects and lists; an empty
// object within a list stays. It says whether something is left.
func prune(v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, false
	case map[string]any:
		for key, member := range v {
			kept, some := prune(member)
			// emptyDir: {} says something by being there.
			if _, object := member.(map[string]any); !some && (!object || key != "emptyDir") {
				delete(v, key)
				continue
			}
			v[key] = kept
		}
		return v, len(v) > 0
	case []any:
		for i := range v {
			v[i], _ = prune(v[i])
		}
		return v, len(v) > 0
	}
	return v, true
}

// Observe says what the engine needs to know of both.
func (p Pair) Observe() (target, primary engine.Workload, err error) {
	revision, err := Revision(p.Target.Spec.Template)
	if err != nil {
		return target, primary, err
	}
	target = engine.Workload{Exists: true, Revision: revision, Ready: ready(p.Target)}
	if p.Primary != nil && p.Primary.Labels[LabelCanary] == p.Canary {
		primary = engine.Workload{Exists: true, Revision: p.Primary.Annotations[annotationRevision], Ready: ready(p.Primary)}
	}
	return target, primary, nil
}

// ready is whether all that was asked for runs the newest template and serves.
func ready(d *appsv1.Deployment) bool {
	want := replicas(d)
	s := d.Status
	return want > 0 && s.ObservedGeneration >= d.Generation && s.UpdatedReplicas >= want && s.AvailableReplicas >= want && s.Replicas == s.UpdatedReplicas
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// appLabels are the labels that may tell the target's pods from the primary's.
var appLabels = []string{"app", "name", "app.kubernetes.io/name"}

func (p Pair) appLabel() (string, error) {
	for _, key := range appLabels {
		if _, ok := p.Target.Spec.Selector.MatchLabels[key]; ok {
			return key, nil
		}
	}
	return "", fmt.Errorf("the selector of Deployment %s has none of the labels %v; add one: %w", p.Target.Name, appLabels, ErrUnsupported)
}

// CopyTemplate makes the primary run the target's template. It does nothing
// when the target has moved on to another revision.
func (p Pair) CopyTemplate(ctx context.Context, revision string) error {
	if now, err := Revision(p.Target.Spec.Template); err != nil || now != revision {
		return err
	}
	key, err := p.appLabel()
	if err != nil {
		return err
	}
	template := *p.Target.Spec.Template.DeepCopy()
	template.Labels[key] = PrimaryName(p.Target.Name)
	if p.Primary == nil {
		return p.createPrimary(ctx, key, revision, template)
	}
	if p.Primary.Labels[LabelCanary] != p.Canary {
		return fmt.Errorf("deployment %s exists and isn't this Canary's; rename it: %w", p.Primary.Name, ErrOwnedElsewhere)
	}
	previous, err := json.Marshal(p.Primary.Spec.Template)
	if err != nil {
		return fmt.Errorf("template of %s: %w", p.Primary.Name, err)
	}
	next := p.Primary.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	next.Annotations[annotationPreviousRevision] = next.Annotations[annotationRevision]
	next.Annotations[annotationPreviousTemplate] = string(previous)
	next.Annotations[annotationRevision] = revision
	next.Spec.Template = template
	return p.update(ctx, next)
}

func (p Pair) createPrimary(ctx context.Context, key, revision string, template corev1.PodTemplateSpec) error {
	primary := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: p.Target.Namespace, Name: PrimaryName(p.Target.Name),
		Labels:      map[string]string{LabelCanary: p.Canary},
		Annotations: map[string]string{annotationRevision: revision},
	}, Spec: *p.Target.Spec.DeepCopy()}
	primary.Spec.Selector.MatchLabels[key] = primary.Name
	primary.Spec.Template = template
	count := max(1, replicas(p.Target))
	primary.Spec.Replicas = &count
	if err := p.Client.Create(ctx, primary); err != nil {
		return fmt.Errorf("create Deployment %s: %w", primary.Name, err)
	}
	return nil
}

// RestoreTemplate gives the primary back the template of the revision, if that
// is what it ran before the last copy.
func (p Pair) RestoreTemplate(ctx context.Context, revision string) error {
	if p.Primary == nil || p.Primary.Annotations[annotationPreviousRevision] != revision || p.Primary.Labels[LabelCanary] != p.Canary {
		return nil
	}
	next := p.Primary.DeepCopy()
	next.Spec.Template = corev1.PodTemplateSpec{}
	if err := json.Unmarshal([]byte(next.Annotations[annotationPreviousTemplate]), &next.Spec.Template); err != nil {
		return fmt.Errorf("previous template of %s: %w", next.Name, err)
	}
	next.Annotations[annotationRevision] = revision
	delete(next.Annotations, annotationPreviousRevision)
	delete(next.Annotations, annotationPreviousTemplate)
	return p.update(ctx, next)
}

// Scale gives the target as many pods as the primary has, or none. A target
// that has some keeps its number: an autoscaler may have set it.
func (p Pair) Scale(ctx context.Context, up bool) error {
	var want int32
	switch has := replicas(p.Target); {
	case up && has > 0, !up && has == 0:
		return nil
	case up:
		want = 1
		if p.Primary != nil {
			want = max(1, replicas(p.Primary))
		}
	}
	next := p.Target.DeepCopy()
	next.Spec.Replicas = &want
	return p.update(ctx, next)
}

// update fails when somebody else has changed the object since it was read.
func (p Pair) update(ctx context.Context, d *appsv1.Deployment) error {
	if err := p.Client.Update(ctx, d); err != nil {
		return fmt.Errorf("update Deployment %s: %w", d.Name, err)
	}
	return nil
}
