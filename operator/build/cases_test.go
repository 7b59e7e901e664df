package build

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The cases here are reports from the field, by the numbers of
// docs/reference/conformance.md; those about requests are in operator/explain.

func TestCaseO6_TheLoserOfTwoSplitsSaysSo(t *testing.T) {
	t.Parallel()
	services := []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3")}
	younger := split("b-split", "v2=100")
	younger.CreationTimestamp = later(1)
	_, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...), TrafficSplits: []*splitv1alpha4.TrafficSplit{younger, split("a-split", "v1=100")},
	})
	said(t, findings, splitRef("a-split"), good, complete)
	said(t, findings, splitRef("b-split"), good, say{"Conflicted OlderSplit", "TrafficSplit shop/a-split is older"})
}

func TestCaseO10_AMissingBackendIsNamed(t *testing.T) {
	t.Parallel()
	services := []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2")}
	_, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...), TrafficSplits: []*splitv1alpha4.TrafficSplit{split("s", "v1=80", "typo-v2=20")},
	})
	said(t, findings, splitRef("s"), good, say{"!ResolvedRefs BackendNotFound", "typo-v2"})
}

func TestCaseO21_ProbesAreKnownWhateverThePolicy(t *testing.T) {
	t.Parallel()
	probed := pod("web-1", "web", "10.244.0.1", func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	})
	snapshot, _ := built(t, Objects{Pods: []*corev1.Pod{probed}, Namespaces: []*corev1.Namespace{namespace(ns, map[string]string{"heddle.dev/access": "Deny", "heddle.dev/mtls": "Strict"})}})
	for _, workload := range snapshot.Workloads.All() {
		if diff := cmp.Diff([]mesh.Probe{{Port: 8080, Path: "/healthz", Method: "GET"}}, workload.Probes); diff != "" {
			t.Errorf("probes (-want +got):\n%s", diff)
		}
	}
	if snapshot.Workloads.Len() != 1 {
		t.Errorf("%d workloads", snapshot.Workloads.Len())
	}
}

func TestCaseO36_AnExternalNameIsNotOfTheMesh(t *testing.T) {
	t.Parallel()
	legacy := service("legacy", "", corev1.ServicePort{Port: 443})
	legacy.Spec.Type, legacy.Spec.ExternalName, legacy.Spec.ClusterIPs = corev1.ServiceTypeExternalName, "old.example.test", nil
	if snapshot, _ := built(t, Objects{Services: []*corev1.Service{legacy}}); snapshot.Services.Len() != 0 {
		t.Errorf("%v", snapshot.Services)
	}
}

func TestCaseO37_ProtocolsOfOneNumberAreTheServices(t *testing.T) {
	t.Parallel()
	snapshot, _ := built(t, Objects{Services: []*corev1.Service{
		service("a", "10.96.0.1", corev1.ServicePort{Name: "http", Port: 8000}), service("b", "10.96.0.2", corev1.ServicePort{Name: "tcp", Port: 8000}),
	}})
	for name, want := range map[string]mesh.Protocol{"a": mesh.ProtocolHTTP, "b": mesh.ProtocolTCP} {
		if got := snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: name}).Ports[0].Protocol; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCaseO38_TwoHeadlessServicesOfOnePod(t *testing.T) {
	t.Parallel()
	objects := Objects{Pods: []*corev1.Pod{pod("tsdb-0", "tsdb", "10.244.0.1")}}
	for _, name := range []string{"tsdb", "tsdb-discovery"} {
		objects.Services = append(objects.Services, service(name, corev1.ClusterIPNone, corev1.ServicePort{Port: 10901}))
		objects.EndpointSlices = append(objects.EndpointSlices, slice(name, 10901, endpoint("10.244.0.1", of("tsdb-0"))))
	}
	snapshot, _ := built(t, objects)
	for _, name := range []string{"tsdb", "tsdb-discovery"} {
		if set := snapshot.Endpoints.Get(portKey(name, 10901)); set == nil || len(set.Endpoints) != 1 || !set.Endpoints[0].Meshed {
			t.Errorf("%s: %+v", name, set)
		}
	}
}

func TestCaseO66_ThreeSlicesOf250Endpoints(t *testing.T) {
	t.Parallel()
	slices := []*discoveryv1.EndpointSlice{slice("web", 8080), slice("web", 8080), slice("web", 9090)}
	for i := range 250 {
		in := slices[i%3]
		in.Endpoints = append(in.Endpoints, endpoint(fmt.Sprintf("10.244.%d.%d", i/200, i%200+1)))
	}
	slices[1].Name, slices[2].Name = "web-2", "web-3"
	slices[1].Endpoints = append(slices[1].Endpoints, slices[0].Endpoints[0])
	snapshot, _ := built(t, Objects{Services: []*corev1.Service{service("web", "10.96.0.1")}, EndpointSlices: slices})
	count := map[uint16]int{}
	for _, e := range snapshot.Endpoints.Get(portKey("web", 80)).Endpoints {
		count[e.Address.Port()]++
	}
	if diff := cmp.Diff(map[uint16]int{8080: 167, 9090: 83}, count); diff != "" {
		t.Errorf("endpoints by port (-want +got):\n%s", diff)
	}
}

func TestCaseO77_OnePodSeveralPorts(t *testing.T) {
	t.Parallel()
	web := service("web", "10.96.0.1", corev1.ServicePort{Name: "tcp-ssh", Port: 22}, corev1.ServicePort{Name: "http-web", Port: 80})
	ports := slice("web", 0, endpoint("10.244.0.1", of("web-1")))
	ports.Ports = []discoveryv1.EndpointPort{{Name: ptr("tcp-ssh"), Port: ptr[int32](22)}, {Name: ptr("http-web"), Port: ptr[int32](8080)}}
	snapshot, _ := built(t, Objects{
		Services: []*corev1.Service{web}, EndpointSlices: []*discoveryv1.EndpointSlice{ports}, Pods: []*corev1.Pod{pod("web-1", "web", "10.244.0.1")},
	})
	for number, want := range map[uint16]uint16{22: 22, 80: 8080} {
		set := snapshot.Endpoints.Get(portKey("web", number))
		if len(set.Endpoints) != 1 || set.Endpoints[0].Address.Port() != want {
			t.Errorf("port %d: %+v", number, set.Endpoints)
		}
	}
}

func TestCaseO78_UDPBesideTCPAndPortsWithoutAName(t *testing.T) {
	t.Parallel()
	dns := service("dns", "10.96.0.1",
		corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, corev1.ServicePort{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP},
		corev1.ServicePort{Port: 8080}, corev1.ServicePort{Name: "tcp-x", Port: 81, AppProtocol: ptr("http")})
	snapshot, _ := built(t, Objects{Services: []*corev1.Service{dns}})
	got := map[uint16]mesh.Protocol{}
	for _, port := range snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "dns"}).Ports {
		got[port.Number] = port.Protocol
	}
	want := map[uint16]mesh.Protocol{53: mesh.ProtocolDetect, 81: mesh.ProtocolHTTP, 8080: mesh.ProtocolDetect}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("protocols (-want +got):\n%s", diff)
	}
}
