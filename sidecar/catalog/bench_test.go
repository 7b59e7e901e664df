package catalog

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// BenchmarkNext is what it costs that one thing changes, and beside it what a
// catalog made from nothing costs, by how many services there are. Every service
// has been asked for by its address.
func BenchmarkNext(b *testing.B) {
	changes := map[string]func(*mesh.Snapshot){
		"endpoint": func(s *mesh.Snapshot) {
			addEndpoints(s, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: cartID})
		},
		"weight": func(s *mesh.Snapshot) {
			addService(s, cartKey, mesh.ProtocolHTTP, "10.96.0.7")
			s.Services.Get(cartKey.Service).Ports[0].Route = &mesh.Route{Shares: []mesh.Share{{Backend: webKey, Weight: 1}, {Backend: dbKey, Weight: 2}}}
		},
		"target": func(s *mesh.Snapshot) {
			s.Policies = s.Policies.With(cartID, &mesh.Policy{Destination: cartID, Closed: true})
		},
		"service": func(s *mesh.Snapshot) { addService(s, key("more", 80), mesh.ProtocolHTTP, "10.96.0.20") },
		"pod":     func(s *mesh.Snapshot) { addPod(s, "cart-2", "cart", "10.244.0.9", true) },
	}
	for _, services := range []int{100, 1_000, 10_000} {
		snapshot := meshOf(services)
		for name, change := range changes {
			b.Run(fmt.Sprintf("%s/%d", name, services), func(b *testing.B) {
				c, _, err := Next(nil, snapshot, []byte("roots"))
				if err != nil {
					b.Fatal(err)
				}
				for service := range snapshot.Services.Values() {
					c.Resource(xds.Client{}, xds.TypeCluster, envoy.TCPCluster(netip.AddrPortFrom(service.Addresses[0], 80)))
				}
				there := changed(snapshot, change)
				b.ReportAllocs()
				for b.Loop() {
					for _, s := range []*mesh.Snapshot{there, snapshot} {
						if c, _, err = Next(c, s, []byte("roots")); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
		b.Run(fmt.Sprintf("from-nothing/%d", services), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Next(nil, snapshot, []byte("roots")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// meshOf has as many services beside cart, each with an endpoint and a
// workload of its own.
func meshOf(services int) *mesh.Snapshot {
	s := shop()
	for i := range services {
		name := fmt.Sprint("service-", i)
		ip := fmt.Sprintf("10.%d.%d.%d", 100+i>>16, i>>8&255, i&255)
		pod := fmt.Sprintf("10.%d.%d.%d", 200+i>>16, i>>8&255, i&255)
		addService(s, key(name, 80), mesh.ProtocolHTTP, ip)
		addPod(s, name, name, pod, true)
		addEndpoints(s, key(name, 80), mesh.Endpoint{
			Address: netip.AddrPortFrom(netip.MustParseAddr(pod), 8080), Meshed: true, Identity: account(name),
		})
	}
	return s
}
