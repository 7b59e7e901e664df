package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config *heddlev1alpha1.MeshConfig
		want   mesh.Settings
	}{
		"no MeshConfig":       {nil, mesh.Settings{TrustDomain: "cluster.local"}},
		"an empty MeshConfig": {&heddlev1alpha1.MeshConfig{}, mesh.Settings{TrustDomain: "cluster.local"}},
		"everything": {
			&heddlev1alpha1.MeshConfig{Spec: heddlev1alpha1.MeshConfigSpec{
				TrustDomain: "example.com",
				MTLS:        heddlev1alpha1.MTLSSpec{Mode: heddlev1alpha1.MTLSStrict},
				Access:      heddlev1alpha1.AccessSpec{Default: heddlev1alpha1.AccessDeny},
				Egress:      heddlev1alpha1.EgressSpec{Mode: heddlev1alpha1.EgressDeny},
			}},
			mesh.Settings{TrustDomain: "example.com", Strict: true, Access: mesh.Deny, EgressDenied: true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := Build(Objects{MeshConfig: tc.config})
			if diff := cmp.Diff(tc.want, snapshot.Settings); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// shop returns a small mesh with one of everything.
func shop() Objects {
	return Objects{
		Services: []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3")},
		Pods:     []*corev1.Pod{pod("v1-1", "v1", "10.1.0.1"), pod("v2-1", "v2", "10.1.0.2")},
		EndpointSlices: []*discoveryv1.EndpointSlice{
			slice("v1", 8080, endpoint("10.1.0.1", of("v1-1"))), slice("v2", 8080, endpoint("10.1.0.2", of("v2-1"))),
		},
		TrafficSplits:   []*splitv1alpha4.TrafficSplit{split("s", "v1=1", "v2=1")},
		TrafficTargets:  []*accessv1alpha3.TrafficTarget{target("t", byHTTP("items"))},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{group("items", specsv1alpha4.HTTPMatch{Name: "all"})},
	}
}

// replaced tells which of the values are not the pointers of before.
func replaced[K comparable, V any](now, before mesh.Table[K, *V]) map[K]bool {
	out := map[K]bool{}
	for key, value := range now.All() {
		if value != before.Get(key) {
			out[key] = true
		}
	}
	return out
}

// TestNothingToSayIsSaid: whoever takes nil for no news would keep the findings
// about what is gone.
func TestNothingToSayIsSaid(t *testing.T) {
	t.Parallel()
	if _, findings := Build(Objects{}); findings == nil || len(findings) > 0 {
		t.Errorf("findings = %#v", findings)
	}
}

func TestFindingsOnMeshConfigs(t *testing.T) {
	t.Parallel()
	config := func(name string) *heddlev1alpha1.MeshConfig {
		return &heddlev1alpha1.MeshConfig{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	}
	_, findings := Build(Objects{MeshConfig: config("default"), OtherMeshConfigs: []*heddlev1alpha1.MeshConfig{config("mine")}})
	said(t, findings, configRef(config("default")), good)
	said(t, findings, configRef(config("mine")), say{"!Accepted IgnoredName", "only the MeshConfig named default counts"})
}

func TestWhatIsEqualIsTheSame(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Objects)
		// what is new of each kind.
		services  map[mesh.ServiceKey]bool
		endpoints map[mesh.PortKey]bool
		pods      map[mesh.PodKey]bool
		workloads int
		policies  map[mesh.Identity]bool
	}{
		"nothing": {change: func(*Objects) {}},
		"the weights of a split": {
			change:   func(o *Objects) { o.TrafficSplits = []*splitv1alpha4.TrafficSplit{split("s", "v1=2", "v2=1")} },
			services: map[mesh.ServiceKey]bool{{Namespace: ns, Name: "web"}: true},
		},
		"the state of an endpoint": {
			change: func(o *Objects) {
				o.EndpointSlices = []*discoveryv1.EndpointSlice{
					slice("v1", 8080, endpoint("10.1.0.1", of("v1-1"), draining)), o.EndpointSlices[1],
				}
			},
			endpoints: map[mesh.PortKey]bool{portKey("v1", 80): true},
		},
		"the address of a pod": {
			change: func(o *Objects) { o.Pods = []*corev1.Pod{pod("v1-1", "v1", "10.1.0.9"), o.Pods[1]} },
			pods:   map[mesh.PodKey]bool{{Namespace: ns, Name: "v1-1"}: true},
		},
		"a port of a service": {
			change: func(o *Objects) {
				o.Services = []*corev1.Service{
					o.Services[0], service("v1", "10.96.0.2", corev1.ServicePort{Port: 80}, corev1.ServicePort{Port: 81, Name: "b"}), o.Services[2],
				}
			},
			services: map[mesh.ServiceKey]bool{{Namespace: ns, Name: "v1"}: true},
		},
		"the probes of a pod": {
			change: func(o *Objects) {
				o.Pods = []*corev1.Pod{pod("v1-1", "v1", "10.1.0.1", probed("/live", 8080)), o.Pods[1]}
			},
			pods: map[mesh.PodKey]bool{{Namespace: ns, Name: "v1-1"}: true}, workloads: 1,
		},
		"the mode of a namespace": {
			change: func(o *Objects) {
				o.Namespaces = []*corev1.Namespace{namespace(ns, map[string]string{heddlev1alpha1.LabelMTLS: "Strict"})}
			},
			workloads: 2,
		},
		"the rules of a target": {
			change:   func(o *Objects) { o.TrafficTargets = []*accessv1alpha3.TrafficTarget{target("t")} },
			policies: map[mesh.Identity]bool{identity("web"): true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			builder := NewBuilder()
			before, _ := builder.Apply(shop().changes())
			objects := shop()
			tc.change(&objects)
			now, reports := builder.Apply(between(shop(), objects))
			if now.Generation != before.Generation+1 {
				t.Errorf("generation %d after %d", now.Generation, before.Generation)
			}
			check := func(kind string, want, got any) {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s that are new (-want +got):\n%s", kind, diff)
				}
			}
			check("services", orEmpty(tc.services), replaced(now.Services, before.Services))
			check("endpoints", orEmpty(tc.endpoints), replaced(now.Endpoints, before.Endpoints))
			check("pods", orEmpty(tc.pods), replaced(now.Pods, before.Pods))
			check("policies", orEmpty(tc.policies), replaced(now.Policies, before.Policies))
			if got := len(replaced(now.Workloads, before.Workloads)); got != tc.workloads {
				t.Errorf("%d workloads are new, want %d", got, tc.workloads)
			}
			for ip, pod := range now.PodsByIP.All() {
				if pod != now.Pods.Get(pod.Key) {
					t.Errorf("the pod at %s is not that of the same name", ip)
				}
			}
			// What was built before makes no difference but for pointers.
			fresh, freshFindings := Build(objects)
			if diff := differ(fresh, now); diff != "" {
				t.Errorf("snapshot (-fresh +after another):\n%s", diff)
			}
			if diff := cmp.Diff(freshFindings, Findings(reports)); diff != "" {
				t.Errorf("findings (-fresh +after another):\n%s", diff)
			}
		})
	}
}

func orEmpty[K comparable](m map[K]bool) map[K]bool {
	if m == nil {
		return map[K]bool{}
	}
	return m
}

func TestFindingsAreOrderedByObjectAndType(t *testing.T) {
	t.Parallel()
	objects := shop()
	objects.TrafficSplits = append(objects.TrafficSplits, split("a", "typo=1"))
	objects.TCPRoutes = []*specsv1alpha4.TCPRoute{tcpRoute("z"), tcpRoute("a")}
	_, findings := built(t, objects)
	var got []string
	for _, f := range findings {
		got = append(got, f.Object.String()+" "+f.Type)
	}
	want := []string{
		"HTTPRouteGroup shop/items Accepted",
		"TCPRoute shop/a Accepted", "TCPRoute shop/z Accepted",
		"TrafficSplit shop/a Accepted", "TrafficSplit shop/a ResolvedRefs",
		"TrafficSplit shop/s Accepted", "TrafficSplit shop/s Conflicted",
		"TrafficTarget shop/t Accepted", "TrafficTarget shop/t ResolvedRefs",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
