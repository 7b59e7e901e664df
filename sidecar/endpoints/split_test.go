package endpoints

import (
	"math"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

func portKey(service string) mesh.PortKey {
	return mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: service}, Port: 5432}
}

func ready(addresses ...string) *mesh.EndpointSet {
	set := &mesh.EndpointSet{}
	for _, address := range addresses {
		set.Endpoints = append(set.Endpoints, mesh.Endpoint{Address: netip.MustParseAddrPort(address)})
	}
	return set
}

func draining(set *mesh.EndpointSet) *mesh.EndpointSet {
	for i := range set.Endpoints {
		set.Endpoints[i].State = mesh.EndpointDraining
	}
	return set
}

func TestSplitGolden(t *testing.T) {
	t.Parallel()
	db, v1, v2, gone := portKey("db"), portKey("db-v1"), portKey("db-v2"), portKey("gone")
	meshed := ready("10.244.0.5:5432", "10.244.0.6:5432")
	for i := range meshed.Endpoints {
		meshed.Endpoints[i].Meshed = true
	}
	tests := map[string]struct {
		shares []mesh.Share
		sets   map[mesh.PortKey]*mesh.EndpointSet
	}{
		"split-parts": {
			[]mesh.Share{{Backend: v1, Weight: 90}, {Backend: v2, Weight: 10}},
			map[mesh.PortKey]*mesh.EndpointSet{v1: meshed, v2: ready("10.244.0.7:6543", "10.244.0.8:6543", "10.244.0.9:6543")},
		},
		"split-nothing-behind-it": {
			[]mesh.Share{{Backend: v1, Weight: 2}, {Backend: v2, Weight: 1}, {Backend: gone, Weight: 1, Missing: true}, {Backend: db}},
			map[mesh.PortKey]*mesh.EndpointSet{v1: ready("10.244.0.5:5432"), gone: ready("10.244.0.6:5432"), db: ready("10.244.0.7:5432")},
		},
		"split-one-endpoint-of-two": {
			[]mesh.Share{{Backend: db, Weight: 1}, {Backend: v2, Weight: 1}},
			map[mesh.PortKey]*mesh.EndpointSet{db: ready("10.244.0.5:5432", "10.244.0.6:5432"), v2: ready("10.244.0.6:5432")},
		},
		"split-draining": {
			[]mesh.Share{{Backend: v1, Weight: 1}, {Backend: v2, Weight: 1}},
			map[mesh.PortKey]*mesh.EndpointSet{
				v1: {Endpoints: append(draining(ready("10.244.0.5:5432")).Endpoints, ready("10.244.0.6:5432").Endpoints...)},
				v2: draining(ready("10.244.0.7:5432")),
			},
		},
		"split-no-weight": {[]mesh.Share{{Backend: v1}}, map[mesh.PortKey]*mesh.EndpointSet{v1: ready("10.244.0.5:5432")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assignment := Split(&mesh.Port{Key: db, Route: &mesh.Route{Shares: tc.shares}}, tc.sets)
			if err := envoytest.Validate(assignment); err != nil {
				t.Errorf("Envoy would refuse it: %v", err)
			}
			envoytest.Golden(t, filepath.Join("testdata", name+".yaml"), assignment, *update)
		})
	}
}

// Numbers of endpoints that have nothing in common make parts that 64 bits don't
// hold evenly.
func TestASplitOfOddNumbersKeepsShares(t *testing.T) {
	t.Parallel()
	route, sets, want := &mesh.Route{}, map[mesh.PortKey]*mesh.EndpointSet{}, 0
	for i, n := range []int{101, 103, 107, 109, 113, 127, 131} {
		share := mesh.Share{Backend: portKey(string(rune('a' + i))), Weight: uint32(i+1) * 100_000_000}
		set := &mesh.EndpointSet{}
		for e := range n {
			set.Endpoints = append(set.Endpoints, mesh.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(e)}), 1)})
		}
		route.Shares, sets[share.Backend] = append(route.Shares, share), set
		want += n
	}
	all := Split(&mesh.Port{Route: route}, sets).GetEndpoints()[0].GetLbEndpoints()
	if len(all) != want {
		t.Fatalf("%d endpoints, want %d", len(all), want)
	}
	got, sum := map[byte]float64{}, 0.0
	for _, e := range all {
		weight := float64(e.GetLoadBalancingWeight().GetValue())
		got[netip.MustParseAddr(e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress()).As4()[2]] += weight
		sum += weight
	}
	for i, weight := range got {
		if share := weight / sum; math.Abs(share-float64(i+1)/28) > 1e-6 {
			t.Errorf("backend %d gets %g", i, share)
		}
	}
}

// Whatever the weights and however many endpoints are behind each backend, a
// backend gets its share of connections, up to what 32 bits can tell apart.
func TestASplitKeepsShares(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		route := &mesh.Route{}
		sets := map[mesh.PortKey]*mesh.EndpointSet{}
		owner := map[string]int{}
		room := uint32(math.MaxUint32)
		for i := range rapid.IntRange(1, 6).Draw(t, "backends") {
			weight := rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32Range(0, room)).Draw(t, "weight")
			weight = min(weight, room)
			room -= weight
			share := mesh.Share{Backend: portKey(string(rune('a' + i))), Weight: weight}
			set := &mesh.EndpointSet{}
			for n := range rapid.IntRange(0, 40).Draw(t, "endpoints") {
				address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(n)}), 1)
				set.Endpoints = append(set.Endpoints, mesh.Endpoint{Address: address})
				owner[address.Addr().String()] = i
			}
			if len(set.Endpoints) > 0 {
				sets[share.Backend] = set
			}
			route.Shares = append(route.Shares, share)
		}
		total := float64(route.Total())
		assignment := Split(&mesh.Port{Route: route}, sets)
		if total == 0 {
			if len(assignment.GetEndpoints()) > 0 {
				t.Fatalf("endpoints for nothing: %v", assignment)
			}
			return
		}
		got, nowhere, sum := make([]float64, len(route.Shares)), 0.0, uint64(0)
		for _, e := range assignment.GetEndpoints()[0].GetLbEndpoints() {
			weight := e.GetLoadBalancingWeight().GetValue()
			if weight == 0 {
				t.Fatal("Envoy takes no weight of 0")
			}
			sum += uint64(weight)
			if address := e.GetEndpoint().GetAddress().GetSocketAddress(); address != nil {
				got[owner[address.GetAddress()]] += float64(weight)
			} else {
				nowhere += float64(weight)
			}
		}
		if sum > math.MaxUint32 {
			t.Fatalf("weights add up to %d", sum)
		}
		lost := 0.0
		for i, share := range route.Shares {
			want := float64(share.Weight) / total
			if sets[share.Backend] == nil {
				lost += want
				want = 0
			}
			if got := got[i] / float64(sum); math.Abs(got-want) > 1e-6 {
				t.Errorf("backend %d of %+v gets %g, want %g", i, route.Shares, got, want)
			}
		}
		if got := nowhere / float64(sum); math.Abs(got-lost) > 1e-6 {
			t.Errorf("%g of %+v is lost, want %g", got, route.Shares, lost)
		}
	})
}

func TestASplitDependsOnNothingElse(t *testing.T) {
	t.Parallel()
	route := &mesh.Route{Shares: []mesh.Share{{Backend: portKey("v1"), Weight: 1}}}
	sets := map[mesh.PortKey]*mesh.EndpointSet{portKey("v1"): {Endpoints: append(
		draining(ready("10.244.0.5:5432")).Endpoints, ready("10.244.0.6:5432").Endpoints...)}}
	before := append([]mesh.Endpoint(nil), sets[portKey("v1")].Endpoints...)
	Split(&mesh.Port{Route: route}, sets)
	if diff := cmp.Diff(before, sets[portKey("v1")].Endpoints, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("the snapshot is changed (-before +after):\n%s", diff)
	}
}
