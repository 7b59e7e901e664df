package catalog

import (
	"net/netip"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var (
	v1Key, v2Key = key("db-v1", 5432), key("db-v2", 5432)
	v1ID, v2ID   = account("db-v1"), account("db-v2")
)

// splitShop is the shop with the database shared among two versions.
func splitShop(shares ...mesh.Share) *mesh.Snapshot {
	s := shop()
	addService(s, v1Key, mesh.ProtocolTCP, "10.96.0.21")
	addService(s, v2Key, mesh.ProtocolTCP, "10.96.0.22")
	addEndpoints(s, v1Key, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.21:5432"), Meshed: true, Identity: v1ID})
	addEndpoints(s, v2Key, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.22:5432"), Meshed: true, Identity: v2ID})
	share(s, shares...)
	return s
}

// share gives the database's port a route of its own.
func share(s *mesh.Snapshot, shares ...mesh.Share) {
	addService(s, dbKey, mesh.ProtocolTCP, "10.96.0.9")
	s.Services.Get(dbKey.Service).Ports[0].Route = &mesh.Route{Origin: "TrafficSplit shop/db", Shares: shares}
}

func TestConnectionsToASplitGoToAllBackends(t *testing.T) {
	t.Parallel()
	const name = "tcp|10.96.0.9:5432"
	both := []mesh.Share{{Backend: v1Key, Weight: 9}, {Backend: v2Key, Weight: 1}}
	split := func(ids ...mesh.Identity) *clusterv3.Cluster {
		return envoy.SplitCluster(name, false, dbKey, ids, trustDomain)
	}
	tests := map[string]struct {
		change func(*mesh.Snapshot)
		// names are the assignments that the change tells of.
		names []string
		// asked is true if the cluster may be another.
		asked bool
		want  *clusterv3.Cluster
	}{
		"nothing":     {func(*mesh.Snapshot) {}, nil, false, split(v1ID, v2ID)},
		"the weights": {func(s *mesh.Snapshot) { share(s, mesh.Share{Backend: v1Key, Weight: 1}, both[1]) }, []string{"split/shop/db/5432"}, true, split(v1ID, v2ID)},
		"an endpoint": {
			func(s *mesh.Snapshot) {
				addEndpoints(s, v1Key, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.23:5432"), Meshed: true, Identity: v1ID})
			},
			[]string{"shop/db-v1/5432", "split/shop/db/5432"},
			false, split(v1ID, v2ID),
		},
		"who stands behind a backend": {
			func(s *mesh.Snapshot) {
				addEndpoints(s, v2Key, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.22:5432"), Meshed: true, Identity: webID})
			},
			nil, true, split(v1ID, webID),
		},
		"a backend without weight answers for nobody": {
			func(s *mesh.Snapshot) { share(s, both[0], mesh.Share{Backend: v2Key}) }, []string{"split/shop/db/5432"}, true, split(v1ID),
		},
		"no weight at all": {
			func(s *mesh.Snapshot) { share(s, mesh.Share{Backend: v1Key}) }, []string{"split/shop/db/5432"}, true, split(),
		},
		"no split any more": {
			func(s *mesh.Snapshot) { addService(s, dbKey, mesh.ProtocolTCP, "10.96.0.9") },
			[]string{"split/shop/db/5432"},
			true,
			envoy.PortCluster(name, false, dbKey, nil, trustDomain),
		},
		"endpoints of a port that has no share": {
			func(s *mesh.Snapshot) { s.Endpoints = s.Endpoints.Without(dbKey) }, []string{"shop/db/5432"}, false, split(v1ID, v2ID),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, _ := next(t, nil, splitShop(both...))
			after, change := next(t, before, changed(before.snapshot, test.change))
			if diff := cmp.Diff(test.names, change.Names[xds.TypeEndpoints]); diff != "" {
				t.Errorf("assignments (-want +got):\n%s", diff)
			}
			if asked := tells(change, xds.TypeCluster, "tcp|10.96.0.9:5432"); asked != test.asked {
				t.Errorf("the cluster may be another: %t", asked)
			}
			got := &clusterv3.Cluster{}
			if err := after.Resource(webPod, xds.TypeCluster, "tcp|10.96.0.9:5432").Body.UnmarshalTo(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("cluster (-want +got):\n%s", diff)
			}
		})
	}
}

// A split acts for every caller: what it makes is the same for all of them.
func TestASplitIsSeenFromEveryNamespace(t *testing.T) {
	t.Parallel()
	s := splitShop(mesh.Share{Backend: v1Key, Weight: 1})
	s.Services.Get(cartKey.Service).Ports[0].Route = &mesh.Route{Shares: []mesh.Share{{Backend: webKey, Weight: 1}}}
	c, _ := next(t, nil, s)
	elsewhere := xds.Client{Namespace: "front", Pod: "client-1", PodUID: "uid-client-1", ServiceAccount: "client"}
	for typeURL, name := range map[string]string{
		xds.TypeVirtualHost: "outbound/10.96.0.7:80", xds.TypeCluster: "tcp|10.96.0.9:5432", xds.TypeEndpoints: "split/shop/db/5432",
	} {
		if got := c.Resource(elsewhere, typeURL, name); got == nil || got != c.Resource(webPod, typeURL, name) {
			t.Errorf("%s is not the one for all", name)
		}
	}
	if !slices.Contains(c.Wildcard(elsewhere, xds.TypeVirtualHost), "outbound/10.96.0.7:80") {
		t.Error("the virtual host is not sent")
	}
}

// headless makes the database a service without an address, with the change to
// its port.
func headless(change func(*mesh.Port)) *mesh.Snapshot {
	s := splitShop()
	port := &mesh.Port{Key: dbKey, Number: dbKey.Port, Protocol: mesh.ProtocolDetect, Headless: true}
	change(port)
	s.Services = s.Services.With(dbKey.Service, &mesh.Service{Key: dbKey.Service, Ports: []*mesh.Port{port}})
	addPod(s, "db-1", "db", "10.244.0.7", true)
	addEndpoints(s, dbKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.7:6543"), Meshed: true, Identity: account("db")})
	return s
}

// The root of a split that has no address is known by its endpoints.
func TestAHeadlessRootIsKnownByItsEndpoints(t *testing.T) {
	t.Parallel()
	shared := mesh.Route{Origin: "TrafficSplit shop/db", Shares: []mesh.Share{{Backend: v1Key, Weight: 1}}}
	whole := func(p *mesh.Port) { p.Route = &shared }
	byMatch := func(p *mesh.Port) {
		matched := shared
		matched.Matches = []mesh.HTTPMatch{{PathRegex: "/beta"}}
		p.Matched = []*mesh.Route{&matched}
	}
	pod := envoy.PodCluster("tcp|10.244.0.7:6543", false, netip.MustParseAddrPort("10.244.0.7:6543"), account("db"), trustDomain)
	tests := map[string]struct {
		change  func(*mesh.Port)
		host    bool
		cluster *clusterv3.Cluster
	}{
		"shared":                          {whole, true, envoy.SplitCluster("tcp|10.244.0.7:6543", false, dbKey, []mesh.Identity{v1ID}, trustDomain)},
		"shared by match":                 {byMatch, true, pod},
		"not shared, each pod is dialled": {func(*mesh.Port) {}, false, pod},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := next(t, nil, headless(test.change))
			if host := c.Resource(webPod, xds.TypeVirtualHost, "outbound/10.244.0.7:6543"); (host != nil) != test.host {
				t.Errorf("virtual host %v", host)
			}
			got := &clusterv3.Cluster{}
			if err := c.Resource(webPod, xds.TypeCluster, "tcp|10.244.0.7:6543").Body.UnmarshalTo(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.cluster, got, protocmp.Transform()); diff != "" {
				t.Errorf("cluster (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("connections to it are not inspected", func(t *testing.T) {
		t.Parallel()
		c, _ := next(t, nil, headless(func(p *mesh.Port) { p.Route, p.Protocol = &shared, mesh.ProtocolTCP }))
		if diff := cmp.Diff([]uint16{5432, 6543}, c.outbound.TCP); diff != "" {
			t.Errorf("numbers (-want +got):\n%s", diff)
		}
	})
	t.Run("its hosts follow its endpoints", func(t *testing.T) {
		t.Parallel()
		before, _ := next(t, nil, headless(whole))
		_, change := next(t, before, changed(before.snapshot, func(s *mesh.Snapshot) {
			addEndpoints(s, dbKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.8:6543"), Meshed: true, Identity: account("db")})
		}))
		if diff := cmp.Diff([]string{"outbound/10.244.0.7:6543", "outbound/10.244.0.8:6543"}, change.Names[xds.TypeVirtualHost]); diff != "" {
			t.Errorf("virtual hosts (-want +got):\n%s", diff)
		}
	})
}

// Deleted in any order, the objects of a split leave nothing behind.
func TestNothingOfASplitIsLeft(t *testing.T) {
	t.Parallel()
	begin := func() *mesh.Snapshot {
		return splitShop(mesh.Share{Backend: v1Key, Weight: 9}, mesh.Share{Backend: v2Key, Weight: 1})
	}
	gone := map[string]func(*mesh.Snapshot){
		"split": func(s *mesh.Snapshot) {
			if s.Services.Get(dbKey.Service) != nil {
				addService(s, dbKey, mesh.ProtocolTCP, "10.96.0.9")
			}
		},
		"root": func(s *mesh.Snapshot) {
			s.Services = s.Services.Without(dbKey.Service)
			s.Endpoints = s.Endpoints.Without(dbKey)
		},
		"v1": func(s *mesh.Snapshot) {
			s.Services = s.Services.Without(v1Key.Service)
			s.Endpoints = s.Endpoints.Without(v1Key)
		},
		"v2": func(s *mesh.Snapshot) {
			s.Services = s.Services.Without(v2Key.Service)
			s.Endpoints = s.Endpoints.Without(v2Key)
		},
	}
	var orders func(before, rest []string)
	orders = func(before, rest []string) {
		if len(rest) == 0 {
			c, _ := next(t, nil, begin())
			for _, what := range before {
				c, _ = next(t, c, changed(c.snapshot, gone[what]))
			}
			for _, name := range []string{"split/shop/db/5432", "shop/db/5432", "shop/db-v1/5432", "shop/db-v2/5432"} {
				if c.Resource(webPod, xds.TypeEndpoints, name) != nil {
					t.Errorf("%v leaves %s", before, name)
				}
			}
			return
		}
		for i, what := range rest {
			orders(append(slices.Clone(before), what), slices.Delete(slices.Clone(rest), i, i+1))
		}
	}
	orders(nil, []string{"split", "root", "v1", "v2"})
}
