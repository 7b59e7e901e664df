package build

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// split returns a TrafficSplit of the Service web, of backends as "name=weight".
func split(name string, backends ...string) *splitv1alpha4.TrafficSplit {
	out := &splitv1alpha4.TrafficSplit{ObjectMeta: meta(name), Spec: splitv1alpha4.TrafficSplitSpec{Service: "web"}}
	for _, backend := range backends {
		service, text, _ := strings.Cut(backend, "=")
		weight := 0
		if _, err := fmt.Sscan(text, &weight); err != nil {
			panic(err)
		}
		out.Spec.Backends = append(out.Spec.Backends, splitv1alpha4.TrafficSplitBackend{Service: service, Weight: weight})
	}
	return out
}

func splitRef(name string) mesh.ObjectRef {
	return mesh.ObjectRef{Group: "split.smi-spec.io", Version: "v1alpha4", Kind: "TrafficSplit", Namespace: ns, Name: name, Generation: 1, UID: "uid-" + name}
}

// say is a finding in short: "Type Reason", with a ! before it when it is not
// as it should be, and of the message the part that matters.
type say struct{ is, message string }

// said compares findings about one object with what they should say.
func said(t *testing.T, findings []mesh.Finding, ref mesh.ObjectRef, want ...say) {
	t.Helper()
	var got []mesh.Finding
	for _, f := range findings {
		if f.Object == ref {
			got = append(got, f)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d findings, want %d: %+v", ref, len(got), len(want), got)
	}
	for i, f := range got {
		is := f.Type + " " + f.Reason
		if !f.OK {
			is = "!" + is
		}
		if is != want[i].is || !strings.Contains(f.Message, want[i].message) || f.Message == "" {
			t.Errorf("%s says %s: %q, want %s: %q", ref, is, f.Message, want[i].is, want[i].message)
		}
	}
}

var (
	good     = say{"Accepted Accepted", ""}
	complete = say{"ResolvedRefs ResolvedRefs", ""}
)

func share(service string, weight uint32) mesh.Share {
	return mesh.Share{Backend: portKey(service, 80), Weight: weight}
}

func missing(s mesh.Share) mesh.Share {
	s.Missing = true
	return s
}

func TestSplits(t *testing.T) {
	t.Parallel()
	web, v1, v2 := service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3")
	tcp := corev1.ServicePort{Port: 80, AppProtocol: ptr("tcp")}
	tests := map[string]struct {
		services []*corev1.Service
		split    *splitv1alpha4.TrafficSplit
		// want are the shares of port 80; nil is no route.
		want []mesh.Share
		says []say
	}{
		"two backends": {
			split: split("s", "v1=90", "v2=10"),
			want:  []mesh.Share{share("v1", 90), share("v2", 10)},
			says:  []say{good, complete},
		},
		"weights need no particular sum": {
			split: split("s", "v1=1", "v2=2"),
			want:  []mesh.Share{share("v1", 1), share("v2", 2)},
			says:  []say{good, complete},
		},
		"backends stay in the order they are written in": {
			split: split("s", "v2=1", "v1=2"),
			want:  []mesh.Share{share("v2", 1), share("v1", 2)},
			says:  []say{good, complete},
		},
		"a weight of 0 is a share of nothing": {
			split: split("s", "v1=0", "v2=100"),
			want:  []mesh.Share{share("v1", 0), share("v2", 100)},
			says:  []say{good, complete},
		},
		"a weight left out is 0": {
			split: func() *splitv1alpha4.TrafficSplit {
				s := split("s", "v1=100")
				s.Spec.Backends = append(s.Spec.Backends, splitv1alpha4.TrafficSplitBackend{Service: "v2"})
				return s
			}(),
			want: []mesh.Share{share("v1", 100), share("v2", 0)},
			says: []say{good, complete},
		},
		"one backend with weight 0 is not the root": {
			split: split("s", "v1=0"),
			want:  []mesh.Share{share("v1", 0)},
			says:  []say{{"!Accepted AllWeightsZero", "503"}, complete},
		},
		"no weight above 0 is not the root either": {
			split: split("s", "v1=0", "v2=0"),
			want:  []mesh.Share{share("v1", 0), share("v2", 0)},
			says:  []say{{"!Accepted AllWeightsZero", "503"}, complete},
		},
		"no backend is a route to nowhere": {
			split: split("s"),
			want:  []mesh.Share{},
			says:  []say{{"!Accepted NoBackends", "503"}, complete},
		},
		"the root as its own backend is its own endpoints": {
			split: split("s", "web=80", "v2=20"),
			want:  []mesh.Share{share("web", 80), share("v2", 20)},
			says:  []say{good, complete},
		},
		"a backend listed twice has both shares": {
			split: split("s", "v1=1", "v1=2"),
			want:  []mesh.Share{share("v1", 1), share("v1", 2)},
			says:  []say{good, complete},
		},
		"a backend that doesn't exist keeps its share": {
			split: split("s", "v1=80", "typo=20"),
			want:  []mesh.Share{share("v1", 80), missing(share("typo", 20))},
			says:  []say{good, {"!ResolvedRefs BackendNotFound", "no Service shop/typo with a TCP port, its share of the requests is answered with 500"}},
		},
		"one that doesn't exist and has no weight does no harm": {
			split: split("s", "v1=80", "typo=0"),
			want:  []mesh.Share{share("v1", 80), missing(share("typo", 0))},
			says:  []say{good, {"!ResolvedRefs BackendNotFound", "no Service shop/typo with a TCP port, it has no share to lose"}},
		},
		"one of another namespace doesn't exist": {
			services: []*corev1.Service{web, v1, func() *corev1.Service {
				s := service("v3", "10.96.0.9")
				s.Namespace = "elsewhere"
				return s
			}()},
			split: split("s", "v1=1", "v3=1"),
			want:  []mesh.Share{share("v1", 1), missing(share("v3", 1))},
			says:  []say{good, {"!ResolvedRefs BackendNotFound", "shop/v3"}},
		},
		"a backend without the port is left out": {
			services: []*corev1.Service{web, v1, service("v2", "10.96.0.3", corev1.ServicePort{Port: 81})},
			split:    split("s", "v1=1", "v2=1"),
			want:     []mesh.Share{share("v1", 1)},
			says:     []say{good, {"!ResolvedRefs PortMismatch", "Service shop/v2 has no port 80"}},
		},
		"no backend with the port is a route to nowhere": {
			services: []*corev1.Service{web, service("v2", "10.96.0.3", corev1.ServicePort{Port: 81})},
			split:    split("s", "v2=1"),
			want:     []mesh.Share{},
			says:     []say{good, {"!ResolvedRefs PortMismatch", "Service shop/v2 has no port 80"}},
		},
		"a backend's own targetPort plays no part": {
			services: []*corev1.Service{web, v1, service("v2", "10.96.0.3", corev1.ServicePort{Port: 80, Name: "http-other"})},
			split:    split("s", "v1=1", "v2=1"),
			want:     []mesh.Share{share("v1", 1), share("v2", 1)},
			says:     []say{good, complete},
		},
		"a backend whose port is TCP takes no requests": {
			services: []*corev1.Service{web, v1, service("v2", "10.96.0.3", tcp)},
			split:    split("s", "v1=1", "v2=1"),
			want:     []mesh.Share{share("v1", 1), missing(share("v2", 1))},
			says:     []say{good, {"!ResolvedRefs PortMismatch", "port 80 of Service shop/v2 is TCP and takes no requests"}},
		},
		"connections to a root whose port is TCP are shared": {
			services: []*corev1.Service{service("web", "10.96.0.1", tcp), service("v1", "10.96.0.2", tcp), v2},
			split:    split("s", "v1=1", "v2=3", "typo=1"),
			want:     []mesh.Share{share("v1", 1), share("v2", 3), missing(share("typo", 1))},
			says:     []say{good, {"!ResolvedRefs BackendNotFound", "shop/typo with a TCP port, its share of the connections is closed"}},
		},
		"all that is wrong is said, the first gives the reason": {
			services: []*corev1.Service{web, service("v2", "10.96.0.3", corev1.ServicePort{Port: 81})},
			split:    split("s", "v2=1", "typo=1"),
			want:     []mesh.Share{missing(share("typo", 1))},
			says:     []say{good, {"!ResolvedRefs PortMismatch", "port 80, so it gets nothing of that port; spec.backends: there is no Service shop/typo"}},
		},
		"a negative weight refuses the split": {
			split: split("s", "v1=2", "v2=-1"),
			says:  []say{{"!Accepted InvalidWeight", "spec.backends[1].weight: -1 is negative"}},
		},
		"the largest weights keep their proportion": {
			split: split("s", fmt.Sprint("v1=", math.MaxInt), fmt.Sprint("v2=", math.MaxInt)),
			want:  []mesh.Share{share("v1", math.MaxUint32/2-1), share("v2", math.MaxUint32/2-1)},
			says:  []say{good, complete},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.services == nil {
				tc.services = []*corev1.Service{web, v1, v2}
			}
			snapshot, findings := built(t, Objects{
				Services: tc.services, EndpointSlices: backing(tc.services...), TrafficSplits: []*splitv1alpha4.TrafficSplit{tc.split},
			})
			var want *mesh.Route
			if tc.want != nil {
				want = &mesh.Route{Origin: "TrafficSplit shop/s", Shares: tc.want}
				if len(tc.want) == 0 {
					want.Shares = nil
				}
			}
			for key, s := range snapshot.Services.All() {
				for _, port := range s.Ports {
					wantHere := want
					if key.Name != "web" {
						wantHere = nil // a split acts on its root alone
					}
					if diff := cmp.Diff(wantHere, port.Route); diff != "" {
						t.Errorf("route of %s (-want +got):\n%s", port.Key, diff)
					}
				}
			}
			said(t, findings, splitRef("s"), tc.says...)
		})
	}
}

func TestASplitSharesEveryPortOfItsRoot(t *testing.T) {
	t.Parallel()
	ports := []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "admin", Port: 81}, {Name: "tcp-raw", Port: 82}}
	services := []*corev1.Service{
		service("web", "10.96.0.1", ports...), service("v1", "10.96.0.2", ports...), service("v2", "10.96.0.3", ports[0]),
	}
	snapshot, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...),
		TrafficSplits: []*splitv1alpha4.TrafficSplit{split("s", "v1=1", "v2=3")},
	})
	const origin = "TrafficSplit shop/s"
	want := []*mesh.Port{
		{Key: portKey("web", 80), Number: 80, Name: "http", Protocol: mesh.ProtocolHTTP, Route: &mesh.Route{
			Origin: origin, Shares: []mesh.Share{{Backend: portKey("v1", 80), Weight: 1}, {Backend: portKey("v2", 80), Weight: 3}},
		}},
		{Key: portKey("web", 81), Number: 81, Name: "admin", Route: &mesh.Route{
			Origin: origin, Shares: []mesh.Share{{Backend: portKey("v1", 81), Weight: 1}},
		}},
		{Key: portKey("web", 82), Number: 82, Name: "tcp-raw", Protocol: mesh.ProtocolTCP, Route: &mesh.Route{
			Origin: origin, Shares: []mesh.Share{{Backend: portKey("v1", 82), Weight: 1}},
		}},
	}
	if diff := cmp.Diff(want, snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	said(t, findings, splitRef("s"), good,
		say{"!ResolvedRefs PortMismatch", "Service shop/v2 has no port 81, so it gets nothing of that port; spec.backends: Service shop/v2 has no port 82"})
}

func TestSplitWithoutARoot(t *testing.T) {
	t.Parallel()
	snapshot, findings := built(t, Objects{
		Services:      []*corev1.Service{service("v1", "10.96.0.2"), service("web", "10.96.0.1", corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP})},
		TrafficSplits: []*splitv1alpha4.TrafficSplit{split("s", "v1=1")},
	})
	if snapshot.Services.Len() != 1 {
		t.Errorf("%d services", snapshot.Services.Len())
	}
	said(t, findings, splitRef("s"), good, say{"!ResolvedRefs ServiceNotFound", "spec.service: there is no Service shop/web"})
}

func TestOfSeveralSplitsOnOneRootTheOldestActs(t *testing.T) {
	t.Parallel()
	at := func(s *splitv1alpha4.TrafficSplit, seconds int) *splitv1alpha4.TrafficSplit {
		s.CreationTimestamp = later(seconds)
		return s
	}
	conflicted := say{"Conflicted OlderSplit", "TrafficSplit shop/winner is older and shares the traffic of Service shop/web"}
	broken := split("a", "v1=-1")
	tests := map[string]struct {
		splits []*splitv1alpha4.TrafficSplit
		loses  map[string][]say
	}{
		"by time":                {[]*splitv1alpha4.TrafficSplit{at(split("a", "v1=1"), 9), at(split("winner", "v2=1"), 1), at(split("z", "v1=1"), 5)}, map[string][]say{"a": {good, conflicted}, "z": {good, conflicted}}},
		"by name at one time":    {[]*splitv1alpha4.TrafficSplit{split("z", "v1=1"), split("winner", "v2=1")}, map[string][]say{"z": {good, conflicted}}},
		"one without effect not": {[]*splitv1alpha4.TrafficSplit{broken, at(split("winner", "v2=1"), 1)}, map[string][]say{"a": {{"!Accepted InvalidWeight", ""}}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services := []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3")}
			snapshot, findings := built(t, Objects{Services: services, EndpointSlices: backing(services...), TrafficSplits: tc.splits})
			want := &mesh.Route{Origin: "TrafficSplit shop/winner", Shares: []mesh.Share{share("v2", 1)}}
			if diff := cmp.Diff(want, snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports[0].Route); diff != "" {
				t.Errorf("route (-want +got):\n%s", diff)
			}
			said(t, findings, splitRef("winner"), good, complete)
			for loser, says := range tc.loses {
				said(t, findings, splitRef(loser), says...)
			}
		})
	}
}

// An all-zero split answers 503 for its root, so it keeps a younger one from
// acting, as any other would.
func TestAnAllZeroSplitHoldsItsRoot(t *testing.T) {
	t.Parallel()
	younger := split("b", "v1=1")
	younger.CreationTimestamp = later(1)
	snapshot, findings := built(t, Objects{
		Services:      []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2")},
		TrafficSplits: []*splitv1alpha4.TrafficSplit{split("a", "v1=0"), younger},
	})
	if total := snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports[0].Route.Total(); total != 0 {
		t.Errorf("weights add up to %d", total)
	}
	said(t, findings, splitRef("b"), good, say{"Conflicted " + heddlev1alpha1.ReasonOlderSplit, "shop/a"})
}

func TestSplitsAreNotFollowed(t *testing.T) {
	t.Parallel()
	second := split("b", "v3=100")
	second.Spec.Service = "v2"
	services := []*corev1.Service{
		service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3"), service("v3", "10.96.0.4"),
	}
	snapshot, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...),
		TrafficSplits: []*splitv1alpha4.TrafficSplit{split("a", "v1=80", "v2=20"), second},
	})
	routes := map[string]*mesh.Route{}
	for key, s := range snapshot.Services.All() {
		if route := s.Ports[0].Route; route != nil {
			routes[key.Name] = route
		}
	}
	want := map[string]*mesh.Route{
		"web": {Origin: "TrafficSplit shop/a", Shares: []mesh.Share{share("v1", 80), share("v2", 20)}},
		"v2":  {Origin: "TrafficSplit shop/b", Shares: []mesh.Share{share("v3", 100)}},
	}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	said(t, findings, splitRef("a"), good, complete)
	said(t, findings, splitRef("b"), good, complete)
}
