package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
)

var (
	groupResource    = schema.GroupVersionResource{Group: "specs.smi-spec.io", Version: "v1alpha4", Resource: "httproutegroups"}
	tcpRouteResource = schema.GroupVersionResource{Group: "specs.smi-spec.io", Version: "v1alpha4", Resource: "tcproutes"}
)

// meshObjects reads what the operator builds its snapshot from. Anything that
// can't be read is an error: an explanation without it would be a guess.
func meshObjects(ctx context.Context, c *cluster) (build.Objects, error) {
	var out build.Objects
	var configs []*heddlev1alpha1.MeshConfig
	reads := []func() error{
		func() error {
			found := items(ctx, c.kube.CoreV1().Namespaces().List, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
			return take("namespaces", found, &out.Namespaces)
		},
		func() error {
			found := items(ctx, c.kube.CoreV1().Services("").List, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
			return take("services", found, &out.Services)
		},
		func() error {
			found := items(ctx, c.kube.CoreV1().Pods("").List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
			return take("pods", found, &out.Pods)
		},
		func() error {
			found := items(ctx, c.kube.DiscoveryV1().EndpointSlices("").List, func(l *discoveryv1.EndpointSliceList) []discoveryv1.EndpointSlice { return l.Items })
			return take("endpointslices", found, &out.EndpointSlices)
		},
		func() error { return custom(ctx, c, meshConfigResource, &configs) },
		func() error { return custom(ctx, c, splitResource, &out.TrafficSplits) },
		func() error { return custom(ctx, c, targetResource, &out.TrafficTargets) },
		func() error { return custom(ctx, c, groupResource, &out.HTTPRouteGroups) },
		func() error { return custom(ctx, c, tcpRouteResource, &out.TCPRoutes) },
	}
	errs := make([]error, len(reads))
	var wg sync.WaitGroup
	for i, read := range reads {
		wg.Go(func() { errs[i] = read() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return build.Objects{}, err
		}
	}
	for _, config := range configs {
		if config.Name == heddlev1alpha1.MeshConfigName {
			out.MeshConfig = config
		}
	}
	return out, nil
}

func take[T any](what string, found known[[]T], into *[]*T) error {
	if found.err != nil {
		return fmt.Errorf("read %s: %w", what, found.err)
	}
	for i := range found.value {
		*into = append(*into, &found.value[i])
	}
	return nil
}

// customType is what custom reads.
type customType interface {
	heddlev1alpha1.MeshConfig | splitv1alpha4.TrafficSplit | accessv1alpha3.TrafficTarget | specsv1alpha4.HTTPRouteGroup | specsv1alpha4.TCPRoute
}

func custom[T customType](ctx context.Context, c *cluster, resource schema.GroupVersionResource, into *[]*T) error {
	found := items(ctx, c.objects.Resource(resource).List, func(l *unstructured.UnstructuredList) []unstructured.Unstructured { return l.Items })
	if apierrors.IsNotFound(found.err) {
		return fmt.Errorf("the cluster does not know %s: is Heddle installed? See `heddle check`", resource.GroupResource())
	}
	if found.err != nil {
		return fmt.Errorf("read %s: %w", resource.GroupResource(), found.err)
	}
	for _, raw := range found.value {
		object := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, object); err != nil {
			return fmt.Errorf("read %s %s/%s: %w", resource.GroupResource(), raw.GetNamespace(), raw.GetName(), err)
		}
		*into = append(*into, object)
	}
	return nil
}
