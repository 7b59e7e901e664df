package mesh

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccess(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		snapshot Snapshot
		want     Access
		closed   bool
	}{
		"the zero snapshot is open":      {Snapshot{}, AllowUnlessTargeted, false},
		"the mesh denies":                {Snapshot{Settings: Settings{Access: Deny}}, Deny, true},
		"the mesh allows":                {Snapshot{Settings: Settings{Access: Allow}}, Allow, false},
		"the namespace denies":           {Snapshot{NamespaceAccess: TableOf(map[string]Access{"shop": Deny})}, Deny, true},
		"the namespace is as by default": {Snapshot{Settings: Settings{Access: Deny}, NamespaceAccess: TableOf(map[string]Access{"shop": AllowUnlessTargeted})}, AllowUnlessTargeted, false},
		"another namespace says nothing": {Snapshot{Settings: Settings{Access: Allow}, NamespaceAccess: TableOf(map[string]Access{"shop-2": Deny, "": Deny})}, Allow, false},
		"the namespace allows":           {Snapshot{Settings: Settings{Access: Deny}, NamespaceAccess: TableOf(map[string]Access{"shop": Allow})}, Allow, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.snapshot.AccessOf("shop"); got != tc.want {
				t.Errorf("access %v, want %v", got, tc.want)
			}
			if got := tc.snapshot.DefaultPolicy("shop"); got != tc.closed {
				t.Errorf("closed %t, want %t", got, tc.closed)
			}
		})
	}
}

func TestReadsPaths(t *testing.T) {
	t.Parallel()
	byMethod, byPath := HTTPMatch{Methods: []string{"GET"}}, HTTPMatch{PathRegex: "/a"}
	tests := map[string]struct {
		policy Policy
		want   bool
	}{
		"open":                              {Policy{}, false},
		"open, though a grant reads a path": {Policy{Grants: []Grant{{HTTP: []HTTPMatch{byPath}}}}, false},
		"closed without a grant":            {Policy{Closed: true}, false},
		"no grant reads requests":           {Policy{Closed: true, Grants: []Grant{{Ports: []uint16{80}}}}, false},
		"no grant reads paths":              {Policy{Closed: true, Grants: []Grant{{HTTP: []HTTPMatch{byMethod}}}}, false},
		"the last match of the last grant":  {Policy{Closed: true, Grants: []Grant{{}, {HTTP: []HTTPMatch{byMethod, byPath}}}}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.policy.ReadsPaths(); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestSidecarAt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod  Pod
		want bool
	}{
		"no sidecar":                   {Pod{}, false},
		"a sidecar":                    {Pod{Meshed: true, DirectPorts: []uint16{81}}, true},
		"a sidecar that is bypassed":   {Pod{Meshed: true, DirectPorts: []uint16{79, 80}}, false},
		"a bypass and nothing to pass": {Pod{DirectPorts: []uint16{81}}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.pod.SidecarAt(80); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestTotal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		weights []uint32
		want    uint64
	}{
		"no share":               {nil, 0},
		"shares of nothing":      {[]uint32{0, 0}, 0},
		"a sum":                  {[]uint32{90, 0, 10}, 100},
		"more than 32 bits hold": {[]uint32{math.MaxUint32, math.MaxUint32}, 2 * math.MaxUint32},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			route := &Route{}
			for _, w := range tc.weights {
				route.Shares = append(route.Shares, Share{Weight: w})
			}
			if got := route.Total(); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// Names end up in certificates and in names of Envoy resources.
func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ got, want string }{
		"SPIFFE id":       {Identity{"shop", "cart"}.SPIFFE("cluster.local"), "spiffe://cluster.local/ns/shop/sa/cart"},
		"service":         {ServiceKey{"shop", "cart"}.String(), "shop/cart"},
		"port":            {PortKey{ServiceKey{"shop", "cart"}, 65535}.String(), "shop/cart/65535"},
		"object":          {ObjectRef{Group: "g", Version: "v", Kind: "Pod", Namespace: "shop", Name: "cart", Generation: 3}.String(), "Pod shop/cart"},
		"object of no ns": {ObjectRef{Kind: "MeshConfig", Name: "default"}.String(), "MeshConfig default"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.got != tc.want {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}

// Order is by namespace first, also where one name begins like another.
func TestOrder(t *testing.T) {
	t.Parallel()
	want := [][2]string{{"a", "b"}, {"a", "c"}, {"a-b", "a"}, {"b", ""}, {"b", "a"}}
	services, identities := []ServiceKey{}, []Identity{}
	for _, pair := range slices.Backward(want) {
		services = append(services, ServiceKey{pair[0], pair[1]})
		identities = append(identities, Identity{pair[0], pair[1]})
	}
	slices.SortFunc(services, ServiceKey.Compare)
	slices.SortFunc(identities, Identity.Compare)
	for i, pair := range want {
		if diff := cmp.Diff(ServiceKey{pair[0], pair[1]}, services[i]); diff != "" {
			t.Errorf("service %d (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(Identity{pair[0], pair[1]}, identities[i]); diff != "" {
			t.Errorf("identity %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	web, other := Identity{"shop", "web"}, Identity{"bank", "web"}
	grant := func(ports ...uint16) *Policy {
		return &Policy{Closed: true, Grants: []Grant{{Sources: []Identity{web}, Ports: ports, HTTP: []HTTPMatch{{Methods: []string{"GET"}}}}}}
	}
	tests := map[string]struct {
		policy *Policy
		source Identity
		want   bool
	}{
		"open":                     {&Policy{}, other, true},
		"closed":                   {&Policy{Closed: true}, web, false},
		"a source, on any port":    {grant(), web, true},
		"a source, at the port":    {grant(80, 8080), web, true},
		"a source, at another":     {grant(80), web, false},
		"a source that is another": {grant(8080), other, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.policy.Admits(tc.source, 8080); got != tc.want {
				t.Errorf("%t", got)
			}
		})
	}
}
