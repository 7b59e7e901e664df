package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/crds/smi/convert"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
)

// analyzedKind is a kind of object that an analysis takes in, in the version
// that the operator reads.
type analyzedKind struct {
	version       schema.GroupVersionKind
	resource      string
	clusterScoped bool
	// decode returns what strict decoding finds. What can be decoded all the
	// same is added to the objects of the build, unless those are nil.
	decode func(object map[string]any, into *build.Objects) error
}

// mesh tells whether objects of the kind are judged, and not only needed to
// judge others.
func (k analyzedKind) mesh() bool {
	return k.version.Group == heddlev1alpha1.GroupVersion.Group || strings.HasSuffix(k.version.Group, ".smi-spec.io")
}

var analyzedKinds = []analyzedKind{
	{corev1.SchemeGroupVersion.WithKind("Namespace"), "namespaces", true, into(func(o *build.Objects, n *corev1.Namespace) { o.Namespaces = append(o.Namespaces, n) })},
	{corev1.SchemeGroupVersion.WithKind("Service"), "services", false, into(func(o *build.Objects, s *corev1.Service) { o.Services = append(o.Services, s) })},
	{corev1.SchemeGroupVersion.WithKind("Pod"), "pods", false, into(func(o *build.Objects, p *corev1.Pod) { o.Pods = append(o.Pods, p) })},
	{discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), "endpointslices", false, into(func(o *build.Objects, s *discoveryv1.EndpointSlice) { o.EndpointSlices = append(o.EndpointSlices, s) })},
	{appsv1.SchemeGroupVersion.WithKind("Deployment"), "deployments", false, into(func(*build.Objects, *appsv1.Deployment) {})},
	{heddlev1alpha1.GroupVersion.WithKind("MeshConfig"), "meshconfigs", true, into(addMeshConfig)},
	{heddlev1alpha1.GroupVersion.WithKind("Canary"), "canaries", false, into(func(*build.Objects, *heddlev1alpha1.Canary) {})},
	{heddlev1alpha1.GroupVersion.WithKind("AlertProvider"), "alertproviders", false, into(func(*build.Objects, *heddlev1alpha1.AlertProvider) {})},
	{heddlev1alpha1.GroupVersion.WithKind("MetricTemplate"), "metrictemplates", false, into(func(*build.Objects, *heddlev1alpha1.MetricTemplate) {})},
	{splitv1alpha4.GroupVersion.WithKind("TrafficSplit"), "trafficsplits", false, into(func(o *build.Objects, s *splitv1alpha4.TrafficSplit) { o.TrafficSplits = append(o.TrafficSplits, s) })},
	{accessv1alpha3.GroupVersion.WithKind("TrafficTarget"), "traffictargets", false, into(func(o *build.Objects, t *accessv1alpha3.TrafficTarget) {
		o.TrafficTargets = append(o.TrafficTargets, t)
	})},
	{specsv1alpha4.GroupVersion.WithKind("HTTPRouteGroup"), "httproutegroups", false, into(func(o *build.Objects, g *specsv1alpha4.HTTPRouteGroup) {
		o.HTTPRouteGroups = append(o.HTTPRouteGroups, g)
	})},
	{specsv1alpha4.GroupVersion.WithKind("TCPRoute"), "tcproutes", false, into(func(o *build.Objects, r *specsv1alpha4.TCPRoute) { o.TCPRoutes = append(o.TCPRoutes, r) })},
	{specsv1alpha4.GroupVersion.WithKind("UDPRoute"), "udproutes", false, into(func(o *build.Objects, r *specsv1alpha4.UDPRoute) { o.UDPRoutes = append(o.UDPRoutes, r) })},
}

func addMeshConfig(o *build.Objects, c *heddlev1alpha1.MeshConfig) {
	if c.Name == heddlev1alpha1.MeshConfigName {
		o.MeshConfig = c
		return
	}
	o.OtherMeshConfigs = append(o.OtherMeshConfigs, c)
}

// analyzedKindOf returns false for what an analysis has no use for.
func analyzedKindOf(kind schema.GroupKind) (analyzedKind, bool) {
	at := slices.IndexFunc(analyzedKinds, func(k analyzedKind) bool { return k.version.GroupKind() == kind })
	if at < 0 {
		return analyzedKind{}, false
	}
	return analyzedKinds[at], true
}

// current returns the object in the version that the operator reads.
func (k analyzedKind) current(object map[string]any) (map[string]any, error) {
	want := k.version.GroupVersion().String()
	if object["apiVersion"] == want {
		return object, nil
	}
	if !slices.Contains(convert.Definitions(), k.resource+"."+k.version.Group) {
		return nil, fmt.Errorf("%s has no version %v; use %s", k.version.Kind, object["apiVersion"], want)
	}
	return convert.Convert(object, want)
}

func into[T any](add func(*build.Objects, *T)) func(map[string]any, *build.Objects) error {
	return func(object map[string]any, objects *build.Objects) error {
		typed := new(T)
		strict := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, typed, true)
		if strict != nil && !runtime.IsStrictDecodingError(strict) {
			return strict
		}
		if objects != nil {
			add(objects, typed)
		}
		return strict
	}
}

// undecoded lists what decoding found, a field a line.
func undecoded(err error) []string {
	var strict interface{ Errors() []error }
	if !errors.As(err, &strict) {
		return []string{err.Error()}
	}
	var out []string
	for _, err := range strict.Errors() {
		out = append(out, err.Error())
	}
	return out
}

func rawOf(object map[string]any) []byte {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil // decoded JSON always encodes
	}
	return raw
}
