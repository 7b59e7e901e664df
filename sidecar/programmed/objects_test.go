package programmed

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// resources has everything that a client may see, and answers only pods for
// what is theirs.
type resources struct{}

func (resources) Resource(c xds.Client, typeURL, name string) *xds.Resource {
	if typeURL != xds.TypeVirtualHost && c.PodUID == "" {
		return nil
	}
	return &xds.Resource{Name: name, Version: "v1"}
}

func (resources) Wildcard(xds.Client, string) []string { return nil }

func ref(group, kind, name string) mesh.ObjectRef {
	return mesh.ObjectRef{Group: group + ".smi-spec.io", Kind: kind, Namespace: "shop", Name: name}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	port := mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "cart"}, Port: 80}
	id := mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	workload := mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1"}
	pod := func(name string, meshed bool) *mesh.Pod {
		return &mesh.Pod{Key: mesh.PodKey{Namespace: "shop", Name: name}, UID: "uid-" + name, Identity: id, Meshed: meshed, Workload: workload}
	}
	shared, lost, access := ref("split", "TrafficSplit", "cart"), ref("split", "TrafficSplit", "lost"), ref("access", "TrafficTarget", "cart")
	idle, zero := ref("specs", "HTTPRouteGroup", "idle"), ref("split", "TrafficSplit", "zero")
	snapshot := &mesh.Snapshot{
		Services: map[mesh.ServiceKey]*mesh.Service{port.Service: {
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
			Ports:     []*mesh.Port{{Key: mesh.PortKey{Service: port.Service, Port: 79}, Number: 79}, {Key: port, Number: 80}},
		}},
		Pods: map[mesh.PodKey]*mesh.Pod{{Name: "a"}: pod("a", true), {Name: "b"}: pod("b", true), {Name: "c"}: pod("c", false)},
		Uses: map[mesh.ObjectRef]mesh.Use{
			shared: {Ports: []mesh.PortKey{port}}, zero: {Ports: []mesh.PortKey{port}}, access: {Identities: []mesh.Identity{id}},
		},
	}
	got := Objects([]mesh.Finding{
		{Object: shared, Type: heddlev1alpha1.ConditionAccepted, OK: true},
		{Object: shared, Type: heddlev1alpha1.ConditionResolvedRefs},
		{Object: lost, Type: heddlev1alpha1.ConditionAccepted, OK: true},
		{Object: lost, Type: heddlev1alpha1.ConditionConflicted, OK: true},
		{Object: zero, Type: heddlev1alpha1.ConditionAccepted},
		{Object: access, Type: heddlev1alpha1.ConditionAccepted, OK: true},
		{Object: idle, Type: heddlev1alpha1.ConditionAccepted, OK: true},
		{Object: mesh.ObjectRef{Group: "heddle.dev", Kind: "MeshConfig"}, Type: heddlev1alpha1.ConditionAccepted, OK: true},
	}, snapshot, resources{})
	hosts := []Resource{{xds.TypeVirtualHost, "outbound/10.0.0.1:80", "v1"}, {xds.TypeVirtualHost, "outbound/[fd00::1]:80", "v1"}}
	want := []Object{
		{Ref: shared, Accepted: true, Resources: hosts},
		{Ref: lost},
		{Ref: zero, Accepted: true, Resources: hosts},
		{Ref: access, Accepted: true, Resources: []Resource{
			{xds.TypeListener, "inbound/shop/Deployment/cart/1", "v1"},
			{xds.TypeRoutes, "inbound/shop/cart", "v1"},
			{xds.TypeRoutes, "plaintext/shop/Deployment/cart/1", "v1"},
		}},
		{Ref: idle, Accepted: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
