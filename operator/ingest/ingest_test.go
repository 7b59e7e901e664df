package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func service(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// slice is the endpoints of a service.
func slice(service string, addresses ...string) *discoveryv1.EndpointSlice {
	port := int32(8080)
	out := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port}},
	}
	for _, address := range addresses {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return out
}

// handler is what notes objects of that kind.
func handler(t *testing.T, l *Loop, object client.Object) toolscache.ResourceEventHandler {
	t.Helper()
	for _, kind := range l.kinds() {
		if cmp.Equal(kind.object, object) {
			return kind.handler
		}
	}
	t.Fatalf("nothing watches %T", object)
	return nil
}

// What has gathered is published in one step: the last state of each object.
func TestChangesGather(t *testing.T) {
	t.Parallel()
	var said [][]string
	var endpoints []int
	l := New(nil, func(_ context.Context, s *mesh.Snapshot, reports mesh.Reports) {
		var reasons []string
		for _, f := range build.Findings(reports) {
			reasons = append(reasons, f.Reason)
		}
		said, endpoints = append(said, reasons), append(endpoints, s.Endpoints.Len())
	})
	services, slices := handler(t, l, &corev1.Service{}), handler(t, l, &discoveryv1.EndpointSlice{})
	splits := handler(t, l, &splitv1alpha4.TrafficSplit{})
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	split.Spec.Service, split.Spec.Backends = "web", []splitv1alpha4.TrafficSplitBackend{{Service: "v1", Weight: 1}}
	first := slice("v1", "10.1.0.1")
	for _, step := range []func(){
		func() {
			services.OnAdd(service("web", "10.96.0.1"), true)
			services.OnAdd(service("v1", "10.96.0.2"), true)
			splits.OnAdd(split, true)
		},
		func() { slices.OnAdd(first, false) },
		func() { slices.OnUpdate(first, slice("v1")); slices.OnUpdate(slice("v1"), slice("v1", "10.1.0.2")) },
		func() { slices.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "shop/v1", Obj: first}) },
		func() { splits.OnDelete(split) },
	} {
		step()
		<-l.wake
		l.step(t.Context())
	}
	empty, full := []string{"Accepted", "BackendNoEndpoints"}, []string{"Accepted", "ResolvedRefs"}
	if diff := cmp.Diff([][]string{empty, full, full, empty, nil}, said); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 1, 0, 0}, endpoints); diff != "" {
		t.Errorf("ports with endpoints (-want +got):\n%s", diff)
	}
}

// What the build does not read wakes nobody.
func TestWhatIsNoted(t *testing.T) {
	t.Parallel()
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		out := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "2"}}
		change(out)
		return out
	}
	split := func(change func(*splitv1alpha4.TrafficSplit)) *splitv1alpha4.TrafficSplit {
		out := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1", Generation: 1}}
		change(out)
		return out
	}
	now := metav1.NewTime(time.Unix(1, 0))
	tests := map[string]struct {
		kind, before, after client.Object
		want                bool
	}{
		"a pod's version":         {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.ResourceVersion = "3" }), false},
		"a pod's readiness":       {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}} }), false},
		"a pod's phase":           {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), true},
		"a pod's address":         {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: "10.1.0.1"}} }), true},
		"a pod's end":             {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.DeletionTimestamp = &now }), true},
		"a pod's start":           {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.Status.StartTime = &now }), true},
		"a pod's annotations":     {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }), true},
		"another pod of the name": {&corev1.Pod{}, pod(func(*corev1.Pod) {}), pod(func(p *corev1.Pod) { p.UID = "2" }), true},
		"a split's status": {
			&splitv1alpha4.TrafficSplit{}, split(func(*splitv1alpha4.TrafficSplit) {}),
			split(func(s *splitv1alpha4.TrafficSplit) { s.ResourceVersion = "3" }), false,
		},
		"a split's cohort": {
			&splitv1alpha4.TrafficSplit{}, split(func(*splitv1alpha4.TrafficSplit) {}),
			split(func(s *splitv1alpha4.TrafficSplit) {
				s.Annotations = map[string]string{heddlev1alpha1.AnnotationCohort: "header:x-user"}
			}), true,
		},
		"a split's other annotations": {
			&splitv1alpha4.TrafficSplit{}, split(func(*splitv1alpha4.TrafficSplit) {}),
			split(func(s *splitv1alpha4.TrafficSplit) { s.Annotations = map[string]string{"a": "b"} }), false,
		},
		"a split's spec": {
			&splitv1alpha4.TrafficSplit{}, split(func(*splitv1alpha4.TrafficSplit) {}),
			split(func(s *splitv1alpha4.TrafficSplit) { s.Generation = 2 }), true,
		},
		"a service's status": {
			&corev1.Service{}, service("web", "10.96.0.1"),
			&corev1.Service{ObjectMeta: service("web", "").ObjectMeta, Spec: service("web", "10.96.0.1").Spec, Status: corev1.ServiceStatus{Conditions: []metav1.Condition{{}}}}, false,
		},
		"a service's address": {&corev1.Service{}, service("web", "10.96.0.1"), service("web", "10.96.0.2"), true},
		"a slice's version": {
			&discoveryv1.EndpointSlice{}, slice("web", "10.1.0.1"),
			func() client.Object { s := slice("web", "10.1.0.1"); s.ResourceVersion = "2"; return s }(), false,
		},
		"a slice's endpoints": {&discoveryv1.EndpointSlice{}, slice("web", "10.1.0.1"), slice("web"), true},
		"a namespace's annotations": {
			&corev1.Namespace{}, &corev1.Namespace{}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}}}, false,
		},
		"a namespace's labels": {
			&corev1.Namespace{}, &corev1.Namespace{}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}}, true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New(nil, nil)
			handler(t, l, tc.kind).OnUpdate(tc.before, tc.after)
			if got := len(l.wake) > 0; got != tc.want {
				t.Errorf("noted: %t", got)
			}
		})
	}
}
