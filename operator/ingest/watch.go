package ingest

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// watch has every kind mark what it changed. Status writes of our own and
// what the build doesn't read mark nothing.
func (l *Loop) watch(ctx context.Context) error {
	kinds := []struct {
		object  client.Object
		differs func(before, after any) bool
	}{
		{&heddlev1alpha1.MeshConfig{}, specDiffers},
		{&splitv1alpha4.TrafficSplit{}, specDiffers},
		{&accessv1alpha3.TrafficTarget{}, specDiffers},
		{&specsv1alpha4.HTTPRouteGroup{}, specDiffers},
		{&specsv1alpha4.TCPRoute{}, specDiffers},
		{&specsv1alpha4.UDPRoute{}, specDiffers},
		{&corev1.Namespace{}, labelsDiffer},
		{&corev1.Service{}, serviceDiffers},
		{&corev1.Pod{}, podDiffers},
	}
	for _, kind := range kinds {
		handler := toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { l.markAll() },
			DeleteFunc: func(any) { l.markAll() },
			UpdateFunc: func(before, after any) {
				if kind.differs(before, after) {
					l.markAll()
				}
			},
		}
		if err := l.handle(ctx, kind.object, handler); err != nil {
			return err
		}
	}
	return l.handle(ctx, &discoveryv1.EndpointSlice{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    l.markSlice,
		DeleteFunc: l.markSlice,
		UpdateFunc: func(before, after any) {
			l.markSlice(before)
			l.markSlice(after)
		},
	})
}

func (l *Loop) handle(ctx context.Context, object client.Object, handler toolscache.ResourceEventHandler) error {
	informer, err := l.cache.GetInformer(ctx, object)
	if err != nil {
		return fmt.Errorf("watch %T: %w", object, err)
	}
	if _, err := informer.AddEventHandler(handler); err != nil {
		return fmt.Errorf("watch %T: %w", object, err)
	}
	return nil
}

func (l *Loop) markAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = true
	l.signal()
}

func (l *Loop) markSlice(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services[types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}] = struct{}{}
	l.signal()
}

// signal wakes the loop; the lock is held.
func (l *Loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// specDiffers goes by generation, which status writes leave alone.
func specDiffers(before, after any) bool {
	x, okX := before.(client.Object)
	y, okY := after.(client.Object)
	return !okX || !okY || x.GetGeneration() != y.GetGeneration() || x.GetUID() != y.GetUID()
}

func labelsDiffer(before, after any) bool {
	x, okX := before.(client.Object)
	y, okY := after.(client.Object)
	return !okX || !okY || !reflect.DeepEqual(x.GetLabels(), y.GetLabels())
}

func serviceDiffers(before, after any) bool {
	x, okX := before.(*corev1.Service)
	y, okY := after.(*corev1.Service)
	return !okX || !okY || !reflect.DeepEqual(x.Spec, y.Spec)
}

// podDiffers looks at what may change while a pod lives and what the build
// reads of it.
func podDiffers(before, after any) bool {
	x, okX := before.(*corev1.Pod)
	y, okY := after.(*corev1.Pod)
	if !okX || !okY || x.UID != y.UID {
		return true
	}
	return x.Status.Phase != y.Status.Phase ||
		!reflect.DeepEqual(x.Status.PodIPs, y.Status.PodIPs) ||
		!reflect.DeepEqual(x.Labels, y.Labels) ||
		!reflect.DeepEqual(x.Annotations, y.Annotations) ||
		!reflect.DeepEqual(x.OwnerReferences, y.OwnerReferences)
}
