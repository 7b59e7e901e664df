package ingest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// caching reads what a client has, at once.
type caching struct {
	client.Client
	cache.Informers
}

func (c caching) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return c.Client.Get(ctx, key, object, options...)
}

func objects(t *testing.T) caching {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, heddlev1alpha1.AddToScheme, accessv1alpha3.AddToScheme, specsv1alpha4.AddToScheme, splitv1alpha4.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	service := func(name, ip string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       corev1.ServiceSpec{ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
	}
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	split.Spec.Service, split.Spec.Backends = "web", []splitv1alpha4.TrafficSplitBackend{{Service: "v1", Weight: 1}}
	return caching{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("other", "10.96.0.3"), split).Build()}
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

// Endpoints go out at once and without findings. Where the conditions of a split
// depend on them a whole build follows.
func TestEndpointsThatSplitsAreJudgedBy(t *testing.T) {
	t.Parallel()
	c := objects(t)
	var said [][]string
	l := New(c, func(_ context.Context, _ *mesh.Snapshot, findings []mesh.Finding) {
		var reasons []string
		for _, f := range findings {
			reasons = append(reasons, f.Reason)
		}
		said = append(said, reasons)
	})
	step := func(what string, want ...[]string) {
		t.Helper()
		said = nil
		for len(l.wake) > 0 {
			<-l.wake
			if _, err := l.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	set := func(service string, addresses ...string) {
		t.Helper()
		object := slice(service, addresses...)
		if err := errors.Join(client.IgnoreNotFound(c.Delete(t.Context(), slice(service))), c.Create(t.Context(), object)); err != nil {
			t.Fatal(err)
		}
		l.markSlice(object)
	}
	empty, full := []string{"Accepted", "BackendNoEndpoints"}, []string{"Accepted", "ResolvedRefs"}
	l.markAll()
	step("in the beginning", empty)
	set("v1", "10.1.0.1")
	step("the first endpoint of a backend", nil, full)
	set("v1", "10.1.0.1", "10.1.0.2")
	step("another", nil)
	set("other", "10.1.0.3")
	step("the first of a service that is no backend", nil)
	set("v1")
	step("none any more", nil, empty)
	set("v1", "10.1.0.1")
	l.markAll()
	step("with something else that changed", full)
}
