package main

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func meshedPod(name, account, ip string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: named("shop", name)}
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: strings.TrimSuffix(name, "-x") + "-1", Controller: new(true)}}
	p.Labels = map[string]string{"pod-template-hash": "1"}
	p.Spec.ServiceAccountName = account
	p.Spec.InitContainers = []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}}
	p.Status.Phase = corev1.PodRunning
	p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	return p
}

func servicePort(name, clusterIP string, ports ...corev1.ServicePort) *corev1.Service {
	s := &corev1.Service{ObjectMeta: named("shop", name)}
	s.Spec.ClusterIPs, s.Spec.Ports = []string{clusterIP}, ports
	return s
}

func sliceOf(service, pod, ip string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: named("shop", service+"-1"), AddressType: discoveryv1.AddressTypeIPv4}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	s.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}}
	s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{ip}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}}}
	return s
}

func smi(apiVersion, kind, name string, spec map[string]any) *unstructured.Unstructured {
	o := object(apiVersion, kind, "shop", name)
	o.Object["spec"] = spec
	return o
}

// explained runs `heddle explain` on a shop with a split and a policy.
func explained(t *testing.T, args ...string) (string, error) {
	t.Helper()
	http := corev1.ServicePort{Name: "http", Port: 80}
	kube := fake.NewClientset(
		&corev1.Namespace{ObjectMeta: named("", "shop")},
		meshedPod("web-x", "web", "10.244.0.2"), meshedPod("cart-x", "cart", "10.244.0.3"), meshedPod("cart-v2-x", "cart", "10.244.0.4"),
		&corev1.Pod{ObjectMeta: named("shop", "curl")},
		servicePort("cart", "10.96.0.1", http), servicePort("cart-v1", "10.96.0.2", http), servicePort("cart-v2", "10.96.0.3", http),
		servicePort("two", "10.96.0.4", http, corev1.ServicePort{Name: "grpc", Port: 90}),
		sliceOf("cart", "cart-x", "10.244.0.3"), sliceOf("cart-v1", "cart-x", "10.244.0.3"), sliceOf("cart-v2", "cart-v2-x", "10.244.0.4"),
	)
	objects := fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		meshConfigResource: "MeshConfigList", splitResource: "TrafficSplitList", targetResource: "TrafficTargetList",
		groupResource: "HTTPRouteGroupList", tcpRouteResource: "TCPRouteList",
	},
		smi("split.smi-spec.io/v1alpha4", "TrafficSplit", "cart", map[string]any{"service": "cart", "backends": []any{
			map[string]any{"service": "cart-v1", "weight": int64(2)},
			map[string]any{"service": "cart-v2", "weight": int64(1)},
			map[string]any{"service": "cart-v3", "weight": int64(1)},
		}}),
		smi("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "api", map[string]any{"matches": []any{
			map[string]any{"name": "read", "pathRegex": "/api/.*", "methods": []any{"GET"}, "headers": map[string]any{"x-beta": "yes"}},
		}}),
		smi("access.smi-spec.io/v1alpha3", "TrafficTarget", "cart", map[string]any{
			"destination": map[string]any{"kind": "ServiceAccount", "name": "cart"},
			"sources":     []any{map[string]any{"kind": "ServiceAccount", "name": "web"}},
			"rules":       []any{map[string]any{"kind": "HTTPRouteGroup", "name": "api"}},
		}),
	)
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	cmd := newRoot("heddle", streams, func(*genericclioptions.ConfigFlags) (*cluster, error) {
		return &cluster{kube: kube, objects: objects, namespace: "shop"}, nil
	})
	cmd.SetArgs(append([]string{"explain"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestExplainGolden(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"explain-split.txt":   {"web", "shop/cart:http", "GET", "/api/../api//items?x=1", "-H", "x-beta: yes"},
		"explain-denied.txt":  {"sa:shop/web", "cart-v2", "DELETE", "/api/items"},
		"explain-outside.txt": {"curl", "shop/cart-v2:80", "GET", "/api/items"},
		"explain-tcp.txt":     {"shop/web", "10.244.0.4:9000"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := explained(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
		})
	}
}

func TestExplainForPrograms(t *testing.T) {
	t.Parallel()
	got, err := explained(t, "web", "cart", "GET", "/api/items", "-H", "X-Beta:yes", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var decision explanation
	if err := json.Unmarshal([]byte(got), &decision); err != nil {
		t.Fatal(err)
	}
	if len(decision.Backends) != 3 || decision.Split != "TrafficSplit shop/cart" {
		t.Fatalf("got %+v", decision)
	}
	for i, want := range []struct {
		weight  uint32
		outcome string
	}{{2, "admitted"}, {1, "admitted"}, {1, "500 backend does not exist"}} {
		if b := decision.Backends[i]; b.Weight != want.weight || b.Of != 4 || b.Outcome != want.outcome {
			t.Errorf("backend %d: got %+v, want %+v of 4", i, b, want)
		}
	}
}

func TestExplainSaysWhatIsWrongWithItsArguments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"a workload that is not there":   {[]string{"nobody", "cart", "GET", "/"}, "no workload of the mesh and no pod is named shop/nobody"},
		"a service that is not there":    {[]string{"web", "kart", "GET", "/"}, "there are cart, cart-v1, cart-v2, two"},
		"a namespace with nothing in it": {[]string{"web", "shoq/cart", "GET", "/"}, "nor any other in that namespace"},
		"a port that is not there":       {[]string{"web", "cart:81", "GET", "/"}, "has no port 81; it has 80 (http)"},
		"a service of two ports":         {[]string{"web", "two", "GET", "/"}, "say which, as in shop/two:80"},
		"an address without a port":      {[]string{"web", "10.244.0.4", "GET", "/"}, "needs a port"},
		"a method without a path":        {[]string{"web", "cart", "GET"}, "there are 3 arguments"},
		"a header without a colon":       {[]string{"web", "cart", "GET", "/", "-H", "x-beta"}, "not \"name: value\""},
		"a header of a connection":       {[]string{"web", "cart", "-H", "x-beta: yes"}, "give METHOD and PATH"},
		"a protocol that is none":        {[]string{"web", "cart", "GET", "/", "--protocol", "spdy"}, "use http1 or http2"},
		"too many slashes":               {[]string{"a/b/c", "cart", "GET", "/"}, "not NAMESPACE/NAME"},
		"an output format that is none":  {[]string{"web", "cart", "GET", "/", "-o", "xml"}, "unknown output format"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := explained(t, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
}
