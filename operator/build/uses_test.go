package build

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestUses(t *testing.T) {
	t.Parallel()
	second := split("second", "v1=1")
	second.CreationTimestamp = later(1)
	elsewhere := target("elsewhere")
	elsewhere.Spec.Destination.Namespace = "other"
	got, _ := Build(Objects{
		Services: []*corev1.Service{service("web", "10.0.0.1", corev1.ServicePort{Name: "a", Port: 80}, corev1.ServicePort{Name: "tcp-b", Port: 81}), service("v1", "10.0.0.2")},
		TrafficSplits: []*splitv1alpha4.TrafficSplit{
			second, split("first", "v1=1"), matching(split("beta", "v1=1"), "idle"), matching(split("dangling", "v1=1"), "nowhere"),
		},
		TrafficTargets:  []*accessv1alpha3.TrafficTarget{target("t", byHTTP("g"), byTCP("nowhere")), target("u", byHTTP("g")), elsewhere},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{group("g"), group("idle", specsv1alpha4.HTTPMatch{Name: "all"})},
	})
	web := &mesh.Use{Identities: []mesh.Identity{identity("web")}}
	want := map[mesh.ObjectKey]*mesh.Use{
		splitRef("first").Key(): {Ports: []mesh.PortKey{portKey("web", 80), portKey("web", 81)}}, targetRef("t").Key(): web, targetRef("u").Key(): web,
		specKey(types.NamespacedName{Namespace: ns, Name: "g"}, "HTTPRouteGroup"): web,
		splitRef("beta").Key(): {Ports: []mesh.PortKey{portKey("web", 80)}},
		specKey(types.NamespacedName{Namespace: ns, Name: "idle"}, "HTTPRouteGroup"): {Ports: []mesh.PortKey{portKey("web", 80)}},
	}
	if diff := cmp.Diff(want, maps.Collect(got.Uses.All())); diff != "" {
		t.Error(diff)
	}
}
