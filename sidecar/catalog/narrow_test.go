package catalog

import (
	"net/netip"
	"slices"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var blueID, greenID = account("blue"), account("green")

// mixedShop is the shop with Service x in front of pods of two accounts and of
// one without a sidecar, which split y shares connections with.
func mixedShop(blue, green *mesh.Policy) *mesh.Snapshot {
	x, y := key("x", 80), key("y", 5432)
	return changed(shop(), func(s *mesh.Snapshot) {
		addService(s, x, mesh.ProtocolHTTP, "10.96.0.20")
		addService(s, y, mesh.ProtocolTCP, "10.96.0.21")
		s.Services.Get(y.Service).Ports[0].Route = &mesh.Route{Shares: []mesh.Share{{Backend: x, Weight: 1}, {Backend: cartKey, Weight: 1}}}
		addEndpoints(s, x,
			mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.1.1:8080"), Meshed: true, Identity: blueID},
			mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.1.2:8080"), Meshed: true, Identity: greenID},
			mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.1.3:9090"), Meshed: true, Identity: greenID},
		)
		blue.Destination, green.Destination = blueID, greenID
		s.Policies = s.Policies.With(blueID, blue).With(greenID, green)
	})
}

func shut(grants ...mesh.Grant) *mesh.Policy { return &mesh.Policy{Closed: true, Grants: grants} }

func addressesIn(t *testing.T, r *xds.Resource) []string {
	t.Helper()
	var assignment endpointv3.ClusterLoadAssignment
	if err := r.Body.UnmarshalTo(&assignment); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, group := range assignment.GetEndpoints() {
		for _, e := range group.GetLbEndpoints() {
			at := e.GetEndpoint().GetAddress().GetSocketAddress()
			out = append(out, netip.AddrPortFrom(netip.MustParseAddr(at.GetAddress()), uint16(at.GetPortValue())).String())
		}
	}
	slices.Sort(out)
	return out
}

func TestAssignmentsAreNarrowed(t *testing.T) {
	t.Parallel()
	const blue, green, other, cart = "10.244.1.1:8080", "10.244.1.2:8080", "10.244.1.3:9090", "10.244.0.5:8080"
	web := []mesh.Identity{webID}
	all := []string{blue, green, other}
	tests := map[string]struct {
		blue, green *mesh.Policy
		want        []string
	}{
		"all open":                               {&mesh.Policy{}, &mesh.Policy{}, all},
		"one is closed":                          {&mesh.Policy{}, shut(), []string{blue}},
		"one is closed to others":                {shut(mesh.Grant{Sources: web}), shut(mesh.Grant{Sources: []mesh.Identity{cartID}}), []string{blue}},
		"to an account named alike":              {shut(mesh.Grant{Sources: web}), shut(mesh.Grant{Sources: []mesh.Identity{{Namespace: "bank", ServiceAccount: "web"}}}), []string{blue}},
		"both are open to this caller":           {shut(mesh.Grant{Sources: web}), shut(mesh.Grant{Sources: web}), all},
		"a part of what one takes will do":       {shut(mesh.Grant{Sources: web}), shut(mesh.Grant{Sources: web, HTTP: []mesh.HTTPMatch{{PathRegex: "/x"}}}), all},
		"a port of one is open":                  {shut(), shut(mesh.Grant{Sources: web, Ports: []uint16{9090}}), []string{other}},
		"where none may be called all are tried": {shut(), shut(), all},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := next(t, nil, mixedShop(tc.blue, tc.green))
			got := addressesIn(t, c.Resource(webPod, xds.TypeEndpoints, envoy.Assignment(key("x", 80))))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the service's (-want +got):\n%s", diff)
			}
			// What backend has a share keeps it.
			want := slices.Sorted(slices.Values(append(slices.Clone(tc.want), cart)))
			got = addressesIn(t, c.Resource(webPod, xds.TypeEndpoints, envoy.SplitAssignment(key("y", 5432))))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the split's (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEndpointWithoutASidecarIsAnybodys(t *testing.T) {
	t.Parallel()
	s := changed(shop(), func(s *mesh.Snapshot) {
		addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: cartID},
			mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.8:8080")})
		s.Policies = s.Policies.With(cartID, &mesh.Policy{Destination: cartID, Closed: true})
	})
	c, _ := next(t, nil, s)
	got := addressesIn(t, c.Resource(webPod, xds.TypeEndpoints, envoy.Assignment(cartKey)))
	if diff := cmp.Diff([]string{"10.244.0.8:8080"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNarrowedAssignmentsAreShared: callers who may call the same have one
// resource, and a catalog in which nothing of it differs has it, too.
func TestNarrowedAssignmentsAreShared(t *testing.T) {
	t.Parallel()
	name := envoy.Assignment(key("x", 80))
	before, _ := next(t, nil, mixedShop(&mesh.Policy{}, shut()))
	r := before.Resource(webPod, xds.TypeEndpoints, name)
	if r != before.Resource(cartPod, xds.TypeEndpoints, name) {
		t.Error("two callers have one each")
	}
	after, change := next(t, before, changed(before.snapshot, func(s *mesh.Snapshot) {
		addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.9:8080"), Meshed: true, Identity: cartID})
	}))
	if r != after.Resource(webPod, xds.TypeEndpoints, name) {
		t.Error("it is made again although nothing of it differs")
	}
	if tells(change, xds.TypeEndpoints, name) {
		t.Error("it is said to differ")
	}
	open, change := next(t, after, changed(after.snapshot, func(s *mesh.Snapshot) {
		s.Policies = s.Policies.With(greenID, &mesh.Policy{Destination: greenID})
	}))
	if !tells(change, xds.TypeEndpoints, name) || tells(change, xds.TypeEndpoints, envoy.Assignment(webKey)) {
		t.Error("what a policy changes is not told, or more is")
	}
	if got := addressesIn(t, open.Resource(webPod, xds.TypeEndpoints, name)); len(got) != 3 {
		t.Errorf("what is open is left out: %v", got)
	}
}
