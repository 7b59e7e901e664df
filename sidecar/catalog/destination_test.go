package catalog

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const trustDomain = "cluster.local"

func TestDestination(t *testing.T) {
	t.Parallel()
	service := func(name string, http bool, key mesh.PortKey, ids ...mesh.Identity) *clusterv3.Cluster {
		return envoy.PortCluster(name, http, key, ids, trustDomain)
	}
	tests := map[string]struct {
		name, origin string
		denied       bool
		want         *clusterv3.Cluster
	}{
		"a service": {
			name: "tcp|10.96.0.7:80", origin: "Service shop/cart", want: service("tcp|10.96.0.7:80", false, cartKey, cartID),
		},
		"a service, requests": {
			name: "dst|10.96.0.7:80", origin: "Service shop/cart", want: service("dst|10.96.0.7:80", true, cartKey, cartID),
		},
		"a service without endpoints": {
			name: "tcp|10.96.0.8:80", origin: "Service shop/web", want: service("tcp|10.96.0.8:80", false, webKey),
		},
		"another port of a service's address": {
			name: "tcp|10.96.0.7:81", want: envoy.PassthroughCluster("tcp|10.96.0.7:81", false),
		},
		"another port of a service's address, egress denied": {
			name: "tcp|10.96.0.7:81", denied: true, want: envoy.ClosedCluster("tcp|10.96.0.7:81", false),
		},
		"a pod with a sidecar": {
			name: "dst|10.244.0.5:9999", origin: "Pod shop/cart-1", denied: true,
			want: envoy.PodCluster("dst|10.244.0.5:9999", true, netip.MustParseAddrPort("10.244.0.5:9999"), cartID, trustDomain),
		},
		"a port past a pod's sidecar": {
			name: "dst|10.244.0.5:15020", denied: true, want: envoy.PassthroughCluster("dst|10.244.0.5:15020", true),
		},
		"a pod without a sidecar": {
			name: "dst|10.244.0.7:5432", denied: true, want: envoy.PassthroughCluster("dst|10.244.0.7:5432", true),
		},
		"somewhere else": {
			name: "tcp|192.0.2.1:443", want: envoy.PassthroughCluster("tcp|192.0.2.1:443", false),
		},
		"somewhere else, egress denied": {
			name: "dst|192.0.2.1:443", denied: true, want: envoy.ClosedCluster("dst|192.0.2.1:443", true),
		},
		"something else": {name: "tcp|cart.shop:80"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := next(t, nil, changed(shop(), func(s *mesh.Snapshot) {
				s.Settings.EgressDenied = test.denied
				s.PodsByIP.Get(netip.MustParseAddr("10.244.0.5")).DirectPorts = []uint16{15020}
			}))
			r := c.Resource(webPod, xds.TypeCluster, test.name)
			if r == nil {
				if test.want != nil {
					t.Fatal("there is none")
				}
				return
			}
			got := &clusterv3.Cluster{}
			if err := r.Body.UnmarshalTo(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Origin != test.origin {
				t.Errorf("its origin is %q, want %q", r.Origin, test.origin)
			}
		})
	}
}

func TestDestinationFollowsThePod(t *testing.T) {
	t.Parallel()
	const name = "dst|10.244.0.5:8080"
	before, _ := next(t, nil, shop())
	old := before.Resource(webPod, xds.TypeCluster, name)
	after, change := next(t, before, changed(before.snapshot, func(s *mesh.Snapshot) { addPod(s, "cart-2", "cart", "10.244.0.5", true) }))
	now := after.Resource(webPod, xds.TypeCluster, name)
	if now.Version != old.Version || now.Origin != "Pod shop/cart-2" {
		t.Errorf("another pod of the identity: version %s, want %s; origin %s", now.Version, old.Version, now.Origin)
	}
	if !tells(change, xds.TypeCluster, name) {
		t.Error("the change does not tell of it")
	}
	if tells(change, xds.TypeEndpoints, name) || tells(change, xds.TypeCluster, "tcp|192.0.2.1:443") {
		t.Error("the change tells of something else")
	}
}

func TestClustersOnDemandAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := next(t, nil, shop())
	name := func(i int) string {
		return fmt.Sprintf("tcp|192.0.%d.%d:443", i/256, i%256)
	}
	first := c.Resource(webPod, xds.TypeCluster, name(0))
	for i := range maxClusters + 10 {
		c.Resource(webPod, xds.TypeCluster, name(i))
		if len(c.clusters.made) > maxClusters {
			t.Fatalf("%d are kept", len(c.clusters.made))
		}
	}
	if again := c.Resource(webPod, xds.TypeCluster, name(0)); again == first || again.Version != first.Version {
		t.Error("what is made again differs, or was not forgotten")
	}
}

// TestAsksWhileCatalogsFollow is for the race detector, and for what is asked
// of a catalog that is not the newest.
func TestAsksWhileCatalogsFollow(t *testing.T) {
	t.Parallel()
	const name = "tcp|10.96.0.7:80"
	c, _ := next(t, nil, shop())
	old := c
	want := old.Resource(webPod, xds.TypeCluster, name).Version
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 200 {
				if got := old.Resource(webPod, xds.TypeCluster, name).Version; got != want {
					t.Errorf("an old catalog answers with %s, want %s", got, want)
					return
				}
			}
		})
	}
	for i := range 100 {
		id := account(fmt.Sprint("cart-", i))
		c, _ = next(t, c, changed(c.snapshot, func(s *mesh.Snapshot) {
			addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: id})
		}))
		if c.Resource(webPod, xds.TypeCluster, name).Version == want {
			t.Error("the newest answers as the oldest")
		}
	}
	asking.Wait()
}
