package build

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

func plain(addr string) mesh.Endpoint {
	return mesh.Endpoint{Address: netip.MustParseAddrPort(addr)}
}

func meshed(addr, account string) mesh.Endpoint {
	return mesh.Endpoint{Address: netip.MustParseAddrPort(addr), Meshed: true, Identity: identity(account)}
}

func withState(e mesh.Endpoint, state mesh.EndpointState) mesh.Endpoint {
	e.State = state
	return e
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		service *corev1.Service
		pods    []*corev1.Pod
		slices  []*discoveryv1.EndpointSlice
		want    []mesh.Endpoint
		// identities are wanted of the set.
		identities []mesh.Identity
	}{
		"a pod with a sidecar is called by its identity": {
			pods:       []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices:     []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1")))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a pod without one is called as it is": {
			pods:   []*corev1.Pod{pod("web-1", "web", "10.1.0.1", withoutSidecar)},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1")))},
			want:   []mesh.Endpoint{plain("10.1.0.1:8080")},
		},
		"a pod that has not been seen is left out": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1")))},
		},
		"another pod of the same name has not been seen": {
			pods: []*corev1.Pod{pod("web-0", "web", "10.1.0.2", func(p *corev1.Pod) { p.UID = "uid-of-the-second" })},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-0")),
				endpoint("10.1.0.2", of("web-0"), func(e *discoveryv1.Endpoint) { e.TargetRef.UID = "uid-of-the-second" }))},
			want:       []mesh.Endpoint{meshed("10.1.0.2:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a reference without a UID goes by name": {
			pods: []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1"), func(e *discoveryv1.Endpoint) { e.TargetRef.UID = "" }))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a pod whose address has not been seen is what it says it is": {
			pods:       []*corev1.Pod{pod("web-1", "web", "")},
			slices:     []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1")))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a pod that has ended is left out": {
			pods:   []*corev1.Pod{pod("web-1", "web", "10.1.0.1", inPhase(corev1.PodFailed))},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1")))},
		},
		"an address that is another pod's by now is left out": {
			pods: []*corev1.Pod{
				pod("web-1", "web", "10.1.0.1", beingDeleted), pod("batch-1", "batch", "10.1.0.1"), pod("web-2", "web", "10.1.0.2"),
			},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1"), draining), endpoint("10.1.0.2", of("web-2")))},
			want:       []mesh.Endpoint{meshed("10.1.0.2:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a pod and its successor at one address are the successor": {
			pods: []*corev1.Pod{
				pod("web-1", "old", "10.1.0.1", startedAt(1)), pod("web-2", "new", "10.1.0.1", startedAt(2)),
			},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1")), endpoint("10.1.0.1", of("web-2"), draining))},
			want:       []mesh.Endpoint{withState(meshed("10.1.0.1:8080", "new"), mesh.EndpointDraining)},
			identities: []mesh.Identity{identity("new")},
		},
		"pods on the node's network share its address and are called as they are": {
			pods: []*corev1.Pod{pod("web-1", "web", "192.0.2.1", onHostNetwork), pod("log-1", "log", "192.0.2.1", onHostNetwork)},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("192.0.2.1", of("log-1"), draining), endpoint("192.0.2.1", of("web-1")))},
			want: []mesh.Endpoint{plain("192.0.2.1:8080")},
		},
		"what names no pod is the pod at the address": {
			pods:       []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices:     []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1"))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"what names no pod and is none is called as it is": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.9"))},
			want:   []mesh.Endpoint{plain("192.0.2.9:8080")},
		},
		"a reference to something else than a pod names no pod": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.9", func(e *discoveryv1.Endpoint) {
				e.TargetRef = &corev1.ObjectReference{Kind: "Node", Name: "n1"}
			}))},
			want: []mesh.Endpoint{plain("192.0.2.9:8080")},
		},
		"of two pods without known address at one address the meshed one counts": {
			pods: []*corev1.Pod{pod("web-1", "web", "", withoutSidecar), pod("web-2", "web", "")},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1")), endpoint("10.1.0.1", of("web-2"), draining))},
			want:       []mesh.Endpoint{withState(meshed("10.1.0.1:8080", "web"), mesh.EndpointDraining)},
			identities: []mesh.Identity{identity("web")},
		},
		"of two that are alike but for identity the first by name counts": {
			pods: []*corev1.Pod{pod("web-1", "b", ""), pod("web-2", "a", "")},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1")), endpoint("10.1.0.1", of("web-2")))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "a")},
			identities: []mesh.Identity{identity("a")},
		},
		"unknown readiness is ready": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.9"))},
			want:   []mesh.Endpoint{plain("192.0.2.9:8080")},
		},
		"ready and ending is ready: the Service asks for it": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.9", conditions(true, true, true)))},
			want:   []mesh.Endpoint{plain("192.0.2.9:8080")},
		},
		"ending but serving drains": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.9", draining))},
			want:   []mesh.Endpoint{withState(plain("192.0.2.9:8080"), mesh.EndpointDraining)},
		},
		"not ready, whether it serves or ends, is left out": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("192.0.2.1", conditions(false, false, false)),
				endpoint("192.0.2.2", conditions(false, true, false)),
				endpoint("192.0.2.3", conditions(false, false, true)),
				endpoint("192.0.2.4", func(e *discoveryv1.Endpoint) { e.Conditions.Ready = ptr(false) }))},
		},
		"one address in two slices is one endpoint, ready if either is": {
			slices: []*discoveryv1.EndpointSlice{
				slice("web", 8080, endpoint("192.0.2.1", draining)), slice("web", 8080, endpoint("192.0.2.1")),
			},
			want: []mesh.Endpoint{plain("192.0.2.1:8080")},
		},
		"each slice has its own number for the port": {
			slices: []*discoveryv1.EndpointSlice{
				slice("web", 8081, endpoint("192.0.2.2")), slice("web", 8080, endpoint("192.0.2.3")),
			},
			want: []mesh.Endpoint{plain("192.0.2.2:8081"), plain("192.0.2.3:8080")},
		},
		"endpoints are ordered by address and identities come once": {
			pods: []*corev1.Pod{
				pod("web-1", "b", "10.1.0.10"), pod("web-2", "a", "10.1.0.2"), pod("web-3", "b", "10.1.0.1"),
			},
			slices: []*discoveryv1.EndpointSlice{slice("web", 80,
				endpoint("10.1.0.10", of("web-1")), endpoint("10.1.0.2", of("web-2")), endpoint("10.1.0.1", of("web-3")))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:80", "b"), meshed("10.1.0.2:80", "a"), meshed("10.1.0.10:80", "b")},
			identities: []mesh.Identity{identity("a"), identity("b")},
		},
		"IPv6": {
			pods: []*corev1.Pod{pod("web-1", "web", "fd00::1")},
			slices: []*discoveryv1.EndpointSlice{func() *discoveryv1.EndpointSlice {
				s := slice("web", 8080, endpoint("fd00:0:0::1", of("web-1")))
				s.AddressType = discoveryv1.AddressTypeIPv6
				return s
			}()},
			want:       []mesh.Endpoint{meshed("[fd00::1]:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"an IPv4 address written as IPv6 is the same endpoint": {
			pods:       []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices:     []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("::ffff:10.1.0.1"), endpoint("10.1.0.1"))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"names and zones are no addresses": {
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("example.com"), endpoint("fe80::1%eth0"), endpoint(""))},
		},
		"slices of names are none": {
			slices: []*discoveryv1.EndpointSlice{func() *discoveryv1.EndpointSlice {
				s := slice("web", 8080, endpoint("192.0.2.1"))
				s.AddressType = discoveryv1.AddressTypeFQDN
				return s
			}()},
		},
		"ports that are not TCP, not the Service's or no numbers are none": {
			slices: []*discoveryv1.EndpointSlice{func() *discoveryv1.EndpointSlice {
				s := slice("web", 8080, endpoint("192.0.2.1"))
				s.Ports = []discoveryv1.EndpointPort{
					{Port: ptr[int32](1), Protocol: ptr(corev1.ProtocolUDP)},
					{Port: ptr[int32](2), Name: ptr("other")},
					{Port: nil},
					{Port: ptr[int32](0)},
					{Port: ptr[int32](65536)},
					{Port: ptr[int32](3), Name: ptr(""), Protocol: ptr(corev1.ProtocolTCP)},
				}
				return s
			}()},
			want: []mesh.Endpoint{plain("192.0.2.1:3")},
		},
		"a slice of another Service, or of none, is not this one's": {
			slices: []*discoveryv1.EndpointSlice{
				slice("other", 8080, endpoint("192.0.2.1")),
				func() *discoveryv1.EndpointSlice {
					s := slice("web", 8080, endpoint("192.0.2.2"))
					s.Labels = nil
					return s
				}(),
				func() *discoveryv1.EndpointSlice {
					s := slice("web", 8080, endpoint("192.0.2.3"))
					s.Namespace = "elsewhere"
					return s
				}(),
			},
		},
		"a pod of another namespace, named as such": {
			pods: []*corev1.Pod{
				pod("web-1", "web", "10.1.0.1", func(p *corev1.Pod) { p.Namespace = "elsewhere" }), pod("web-1", "web", "10.1.0.2"),
			},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1"), func(e *discoveryv1.Endpoint) {
				e.TargetRef.Namespace = "elsewhere"
			}))},
			want: []mesh.Endpoint{{
				Address: netip.MustParseAddrPort("10.1.0.1:8080"), Meshed: true,
				Identity: mesh.Identity{Namespace: "elsewhere", ServiceAccount: "web"},
			}},
			identities: []mesh.Identity{{Namespace: "elsewhere", ServiceAccount: "web"}},
		},
		"a pod without a namespace is of the slice's": {
			pods: []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("10.1.0.1", of("web-1"), func(e *discoveryv1.Endpoint) {
				e.TargetRef.Namespace = ""
			}))},
			want:       []mesh.Endpoint{meshed("10.1.0.1:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"a port that bypasses the sidecar is called as it is": {
			pods: []*corev1.Pod{pod("web-1", "web", "10.1.0.1", excluded("8080")), pod("web-2", "web", "10.1.0.2", excluded("8081"))},
			slices: []*discoveryv1.EndpointSlice{slice("web", 8080,
				endpoint("10.1.0.1", of("web-1")), endpoint("10.1.0.2"))},
			want:       []mesh.Endpoint{plain("10.1.0.1:8080"), meshed("10.1.0.2:8080", "web")},
			identities: []mesh.Identity{identity("web")},
		},
		"the sidecar's own ports are called as they are": {
			pods:   []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			slices: []*discoveryv1.EndpointSlice{slice("web", 15020, endpoint("10.1.0.1", of("web-1")))},
			want:   []mesh.Endpoint{plain("10.1.0.1:15020")},
		},
		"a headless service has endpoints, too": {
			service: service("web", corev1.ClusterIPNone),
			slices:  []*discoveryv1.EndpointSlice{slice("web", 8080, endpoint("192.0.2.1"))},
			want:    []mesh.Endpoint{plain("192.0.2.1:8080")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.service == nil {
				tc.service = service("web", "10.96.0.1")
			}
			objects := Objects{Services: []*corev1.Service{tc.service}, Pods: tc.pods, EndpointSlices: tc.slices}
			for i, s := range objects.EndpointSlices {
				s.Name = fmt.Sprintf("%s-%d", s.Name, i)
				s.Endpoints = append([]discoveryv1.Endpoint(nil), s.Endpoints...)
			}
			snapshot, _ := built(t, objects)
			want := map[mesh.PortKey]*mesh.EndpointSet{}
			if tc.want != nil {
				key := portKey("web", 80)
				want[key] = &mesh.EndpointSet{Key: key, Endpoints: tc.want, Identities: tc.identities}
			}
			if diff := cmp.Diff(want, maps.Collect(snapshot.Endpoints.All()), addresses); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
			for _, s := range objects.EndpointSlices {
				s.Endpoints = backwards(s.Endpoints)
			}
			again, _ := Build(objects)
			if diff := cmp.Diff(want, maps.Collect(again.Endpoints.All()), addresses); diff != "" {
				t.Errorf("endpoints back to front (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndpointsOfNamedPorts(t *testing.T) {
	t.Parallel()
	web := service("web", "10.96.0.1", corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "admin", Port: 81})
	s := slice("web", 0, endpoint("192.0.2.1"))
	s.Ports = []discoveryv1.EndpointPort{
		{Name: ptr("admin"), Port: ptr[int32](9000)}, {Name: ptr("http"), Port: ptr[int32](8080)}, {Port: ptr[int32](7000)},
	}
	snapshot, _ := built(t, Objects{Services: []*corev1.Service{web}, EndpointSlices: []*discoveryv1.EndpointSlice{s}})
	want := map[mesh.PortKey]*mesh.EndpointSet{
		portKey("web", 80): {Key: portKey("web", 80), Endpoints: []mesh.Endpoint{plain("192.0.2.1:8080")}},
		portKey("web", 81): {Key: portKey("web", 81), Endpoints: []mesh.Endpoint{plain("192.0.2.1:9000")}},
	}
	if diff := cmp.Diff(want, maps.Collect(snapshot.Endpoints.All()), addresses); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}
