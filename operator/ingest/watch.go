package ingest

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
)

// watch has every kind note what changed of it, and returns when all that there
// is has been noted. Status writes of our own and what the build doesn't read
// are not noted.
func (l *Loop) watch(ctx context.Context) error {
	var synced []<-chan struct{}
	for _, kind := range l.kinds() {
		informer, err := l.cache.GetInformer(ctx, kind.object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		registration, err := informer.AddEventHandler(kind.handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		synced = append(synced, registration.HasSyncedChecker().Done())
	}
	for _, done := range synced {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// kind is what is watched, and what notes it.
type kind struct {
	object  client.Object
	handler toolscache.ResourceEventHandler
}

func (l *Loop) kinds() []kind {
	return []kind{
		noting(l, func(c *build.Changes) *build.Of[*heddlev1alpha1.MeshConfig] { return &c.MeshConfigs }, specDiffers),
		noting(l, func(c *build.Changes) *build.Of[*splitv1alpha4.TrafficSplit] { return &c.TrafficSplits }, splitDiffers),
		noting(l, func(c *build.Changes) *build.Of[*accessv1alpha3.TrafficTarget] { return &c.TrafficTargets }, specDiffers),
		noting(l, func(c *build.Changes) *build.Of[*specsv1alpha4.HTTPRouteGroup] { return &c.HTTPRouteGroups }, specDiffers),
		noting(l, func(c *build.Changes) *build.Of[*specsv1alpha4.TCPRoute] { return &c.TCPRoutes }, specDiffers),
		noting(l, func(c *build.Changes) *build.Of[*specsv1alpha4.UDPRoute] { return &c.UDPRoutes }, specDiffers),
		noting(l, func(c *build.Changes) *build.Of[*corev1.Namespace] { return &c.Namespaces }, labelsDiffer),
		noting(l, func(c *build.Changes) *build.Of[*corev1.Service] { return &c.Services }, serviceDiffers),
		noting(l, func(c *build.Changes) *build.Of[*corev1.Pod] { return &c.Pods }, podDiffers),
		noting(l, func(c *build.Changes) *build.Of[*discoveryv1.EndpointSlice] { return &c.EndpointSlices }, sliceDiffers),
	}
}

// noting returns the kind whose changes go where of says, those of which differs
// is true.
func noting[T any, P interface {
	*T
	client.Object
}](l *Loop, of func(*build.Changes) *build.Of[P], differs func(before, after P) bool) kind {
	put := func(object any) {
		if o, ok := object.(P); ok {
			l.note(func(c *build.Changes) { of(c).Put(o) })
		}
	}
	return kind{object: P(new(T)), handler: toolscache.ResourceEventHandlerFuncs{
		AddFunc: put,
		UpdateFunc: func(before, after any) {
			x, okX := before.(P)
			y, okY := after.(P)
			if !okX || !okY || x.GetUID() != y.GetUID() || differs(x, y) {
				put(after)
			}
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if o, ok := object.(P); ok {
				l.note(func(c *build.Changes) { of(c).Drop(o) })
			}
		},
	}}
}

// splitDiffers looks at the annotation that is as good as a field, too.
func splitDiffers(before, after *splitv1alpha4.TrafficSplit) bool {
	const cohort = heddlev1alpha1.AnnotationCohort
	return specDiffers(before, after) || before.Annotations[cohort] != after.Annotations[cohort]
}

// specDiffers goes by generation, which status writes leave alone.
func specDiffers[P client.Object](before, after P) bool {
	return before.GetGeneration() != after.GetGeneration()
}

func labelsDiffer(before, after *corev1.Namespace) bool {
	return !reflect.DeepEqual(before.Labels, after.Labels)
}

func serviceDiffers(before, after *corev1.Service) bool {
	return !reflect.DeepEqual(before.Spec, after.Spec)
}

// sliceDiffers looks at all but metadata that is rewritten without a change.
func sliceDiffers(before, after *discoveryv1.EndpointSlice) bool {
	return !reflect.DeepEqual(before.Labels, after.Labels) ||
		!reflect.DeepEqual(before.Ports, after.Ports) || !reflect.DeepEqual(before.Endpoints, after.Endpoints)
}

// podDiffers looks at what may change while a pod lives and what the build
// reads of it.
func podDiffers(before, after *corev1.Pod) bool {
	return before.Status.Phase != after.Status.Phase ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
		!before.Status.StartTime.Equal(after.Status.StartTime) ||
		!reflect.DeepEqual(before.Status.PodIPs, after.Status.PodIPs) ||
		!reflect.DeepEqual(before.Labels, after.Labels) ||
		!reflect.DeepEqual(before.Annotations, after.Annotations) ||
		!reflect.DeepEqual(before.OwnerReferences, after.OwnerReferences)
}
