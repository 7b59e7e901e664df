package build

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestABackendIsMissedOnce(t *testing.T) {
	t.Parallel()
	_, findings := built(t, Objects{
		Services:      []*corev1.Service{service("web", "10.96.0.1", corev1.ServicePort{Port: 80}, corev1.ServicePort{Name: "b", Port: 81})},
		TrafficSplits: []*splitv1alpha4.TrafficSplit{split("s", "typo=1", "typo=2")},
	})
	for _, f := range findings {
		if n := strings.Count(f.Message, "shop/typo"); f.Type == heddlev1alpha1.ConditionResolvedRefs && n != 1 {
			t.Errorf("said %d times: %s", n, f.Message)
		}
	}
}

// Shares stay as declared whatever stands behind them; the split says so when
// that is nothing.
func TestABackendWithoutEndpointsKeepsItsShare(t *testing.T) {
	t.Parallel()
	tcp := corev1.ServicePort{Name: "tcp-raw", Port: 81}
	web, v1 := service("web", "10.96.0.1", corev1.ServicePort{Name: "http", Port: 80}, tcp), service("v1", "10.96.0.2", corev1.ServicePort{Name: "http", Port: 80}, tcp)
	ready := backing(v1)
	tests := map[string]struct {
		split  *splitv1alpha4.TrafficSplit
		slices []*discoveryv1.EndpointSlice
		says   say
	}{
		"nothing is ready": {split("s", "v1=1"), nil, say{
			"!ResolvedRefs BackendNoEndpoints",
			"nothing is ready behind port 80 of Service shop/v1, its share of the requests is answered with 503; start a pod that its selector finds; " +
				"spec.backends: nothing is ready behind port 81 of Service shop/v1, its share of the connections is closed",
		}},
		"its share is nothing":  {split("s", "v1=0", "web=1"), backing(web), complete},
		"one is ready":          {split("s", "v1=1"), ready, complete},
		"one is ready to drain": {split("s", "v1=1"), onlyDraining(ready), complete},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, findings := built(t, Objects{
				Services: []*corev1.Service{web, v1}, EndpointSlices: tc.slices, TrafficSplits: []*splitv1alpha4.TrafficSplit{tc.split},
			})
			if got := snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports[0].Route.Shares[0]; got.Missing {
				t.Errorf("share %+v", got)
			}
			said(t, findings, splitRef("s"), good, tc.says)
		})
	}
}

func onlyDraining(slicesOf []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	out := copies(slicesOf)
	for _, s := range out {
		for i := range s.Endpoints {
			draining(&s.Endpoints[i])
		}
	}
	return out
}
