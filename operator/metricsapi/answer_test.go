package metricsapi

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Pods of a Deployment are its ReplicaSets', too, and are known by their names
// when they are gone.
func TestReplicaSets(t *testing.T) {
	t.Parallel()
	w := world{flows: []*Flow{
		flow("api-5d8f-x2x2x", "api", webID, 3, 0), flow("api-77c4-zzzzz", "api", webID, 5, 1), flow("api-77c4-yyyyy", "api", webID, 1, 0),
		{FlowKey: FlowKey{Pod: mesh.PodKey{Namespace: "shop", Name: "api-77c4-00000"}, Kind: "StatefulSet", Name: "api-77c4", Source: webID}, Requests: 7},
	}}
	for path, want := range map[string][]string{
		"/v1alpha2/namespaces/shop/replicasets":                {"ReplicaSet api-5d8f: 3+0", "ReplicaSet api-77c4: 5+1"},
		"/v1alpha2/namespaces/shop/replicasets/api-77c4/edges": {"ReplicaSet api-77c4 from Deployment shop/web: 5+1"},
	} {
		var list metricsv1alpha2.TrafficMetricsList
		w.get(t, path, &list)
		if diff := cmp.Diff(want, said(list.Items)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	long := strings.Repeat("a", 60) + "-77c4"
	flows := []*Flow{flow(long[:stemLength]+"x2x2x", "long", webID, 2, 0)}
	x := newIndex(kindOf(t, "replicasets"), snapshot(), flows)
	if got, _ := x.members(named{"shop", long}); !slices.Equal(got, flows) {
		t.Errorf("a pod of %s is named %s and not found", long, flows[0].Pod.Name)
	}
	if got := x.destination(flows[0].FlowKey); got.Kind != "Deployment" {
		t.Errorf("of a name that was cut it is said %v", got)
	}
}

func kindOf(t testing.TB, resource string) kind {
	t.Helper()
	k, ok := kindNamed(resource)
	if !ok {
		t.Fatalf("no kind %s", resource)
	}
	return k
}

// The counts that a list of edges gives to its object are no more than what was
// asked of it, and all of it, whoever the callers share their accounts with.
func TestEdgesAddUp(t *testing.T) {
	t.Parallel()
	ids := []mesh.Identity{{}, webID, frontID, cartID, {Namespace: "gone", ServiceAccount: "x"}}
	rapid.Check(t, func(t *rapid.T) {
		var w world
		for _, pod := range []struct{ name, workload string }{{"cart-1", "cart-v1"}, {"cart-2", "cart-v2"}} {
			for _, id := range ids {
				n := float64(rapid.IntRange(0, 9).Draw(t, "requests"))
				w.flows = append(w.flows, flow(pod.name, pod.workload, id, n, math.Floor(n/2)))
			}
		}
		for resource, objects := range there {
			k, _ := kindNamed(resource)
			a := answers{index: newIndex(k, snapshot(), w.flows), request: request{Kind: k}, now: time.Unix(0, 0)}
			edges := a
			edges.request.Edges = true
			for _, object := range objects {
				of := named{object.Namespace, object.Name}
				whole, from := count(a.of(of), ""), count(edges.of(of), metricsv1alpha2.From)
				if whole != from {
					t.Fatalf("%s %v: %d requests, %d by its edges", resource, of, whole, from)
				}
			}
		}
	})
}

func count(items []*metricsv1alpha2.TrafficMetrics, direction metricsv1alpha2.Direction) (n int64) {
	for _, m := range items {
		if direction == "" || m.Edge.Direction == direction {
			n += m.Get("success_count").Value.Value() + m.Get("failure_count").Value.Value()
		}
	}
	return n
}

// A cluster of 10,000 pods, each called by five.
func BenchmarkEdges(b *testing.B) {
	s := &mesh.Snapshot{}
	var flows []*Flow
	var pods []named
	for i := range 10_000 {
		app := fmt.Sprintf("app-%d", i/10)
		p := &mesh.Pod{
			Key: mesh.PodKey{Namespace: "shop", Name: fmt.Sprintf("%s-%d", app, i)}, Meshed: true, Identity: mesh.Identity{Namespace: "shop", ServiceAccount: app},
			Workload: mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: app},
		}
		s.Pods = s.Pods.With(p.Key, p)
		pods = append(pods, named{"shop", p.Key.Name})
		for caller := range 5 {
			flows = append(flows, flow(p.Key.Name, app, mesh.Identity{Namespace: "shop", ServiceAccount: fmt.Sprintf("app-%d", (i/10+caller)%1000)}, 10, 1))
		}
	}
	k := kindOf(b, "pods")
	for b.Loop() {
		a := answers{index: newIndex(k, s, flows), request: request{Kind: k}, now: time.Unix(0, 0)}
		for _, pod := range pods {
			a.of(pod)
		}
	}
}

// A caller without an identity, and one that several workloads share.
func TestSources(t *testing.T) {
	t.Parallel()
	w := world{flows: []*Flow{flow("cart-1", "cart-v1", mesh.Identity{}, 1, 0), flow("cart-1", "cart-v1", cartID, 2, 0), flow("cart-1", "cart-v1", mesh.Identity{Namespace: "gone", ServiceAccount: "x"}, 3, 0)}}
	var list metricsv1alpha2.TrafficMetricsList
	w.get(t, "/v1alpha2/namespaces/shop/services/cart-v1/edges", &list)
	want := []string{
		"Service cart-v1 from Group /system:unauthenticated: 1+0", "Service cart-v1 from ServiceAccount gone/x: 3+0",
		"Service cart-v1 from ServiceAccount shop/cart: 2+0", "ServiceAccount cart to Deployment shop/cart-v1: 2+0",
	}
	slices.Sort(want)
	got := said(list.Items)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
