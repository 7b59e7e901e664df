package catalog

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// BenchmarkNextEndpointChange is what it costs that one endpoint comes or
// goes, and beside it what a catalog made from nothing costs, by how many
// services there are. Every service has been asked for by its address.
func BenchmarkNextEndpointChange(b *testing.B) {
	for _, services := range []int{100, 1000} {
		snapshot := meshOf(services)
		b.Run(fmt.Sprintf("services=%d/change", services), func(b *testing.B) {
			c, _, err := Next(nil, snapshot, []byte("roots"))
			if err != nil {
				b.Fatal(err)
			}
			for _, service := range snapshot.Services {
				dst := netip.AddrPortFrom(service.Addresses[0], 80)
				c.Resource(xds.Client{}, xds.TypeCluster, envoy.TCPCluster(dst))
			}
			// As ingest does it: the endpoints are another map, all else is
			// the same.
			less, more := *snapshot, *snapshot
			more.Endpoints = maps.Clone(snapshot.Endpoints)
			addEndpoints(&more, cartKey, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: cartID})
			less.Endpoints = maps.Clone(snapshot.Endpoints)
			addEndpoints(&less, cartKey)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				now := &less
				if i%2 == 1 {
					now = &more
				}
				var change xds.Change
				if c, change, err = Next(c, now, []byte("roots")); err != nil || len(change.Names[xds.TypeEndpoints]) != 1 {
					b.Fatalf("%v, %v", change.Names, err)
				}
			}
		})
		b.Run(fmt.Sprintf("services=%d/from-nothing", services), func(b *testing.B) {
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
