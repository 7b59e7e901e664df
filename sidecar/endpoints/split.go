package endpoints

import (
	"math"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
)

// nowhere is a socket that does not exist: connecting to it fails at once.
const nowhere = "/heddle/nowhere"

// Split returns the endpoints that connections to a port are shared among by
// its route: those of all backends, each with its part of the backend's share
// as weight. An endpoint of several backends has the sum. The share of a
// backend that has none stands at an address that takes no connection.
func Split(port *mesh.Port, sets map[mesh.PortKey]*mesh.EndpointSet) *endpointv3.ClusterLoadAssignment {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: envoy.SplitAssignment(port.Key)}
	parts := newParts(port.Route, sets)
	if len(parts.of) == 0 {
		return assignment
	}
	weights := mesh.Scale(parts.of)
	group := &endpointv3.LocalityLbEndpoints{}
	for i, e := range parts.endpoints {
		out := endpoint(e)
		if e.Address == (netip.AddrPort{}) {
			out.HostIdentifier = &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: nowhere}}},
			}}
		}
		out.HealthStatus = corev3.HealthStatus_HEALTHY
		out.LoadBalancingWeight = wrapperspb.UInt32(weights[i])
		group.LbEndpoints = append(group.LbEndpoints, out)
	}
	assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{group}
	return assignment
}

// parts are the endpoints of several backends with the part of each. The
// endpoint without an address stands for backends that have none.
type parts struct {
	endpoints []mesh.Endpoint
	of        []uint64
	at        map[netip.AddrPort]int
}

func newParts(route *mesh.Route, sets map[mesh.PortKey]*mesh.EndpointSet) *parts {
	p := &parts{at: map[netip.AddrPort]int{}}
	takers := make([][]mesh.Endpoint, len(route.Shares))
	unit := uint64(1)
	for i, share := range route.Shares {
		if !share.Missing {
			takers[i] = taking(sets[share.Backend])
		}
		if len(takers[i]) == 0 {
			takers[i] = []mesh.Endpoint{{}}
		}
		if share.Weight > 0 {
			unit = commonUnit(unit, uint64(len(takers[i])))
		}
	}
	for i, share := range route.Shares {
		if share.Weight == 0 {
			continue
		}
		part := uint64(share.Weight) * unit / uint64(len(takers[i]))
		for _, e := range takers[i] {
			p.add(e, part)
		}
	}
	return p
}

func (p *parts) add(e mesh.Endpoint, part uint64) {
	if at, ok := p.at[e.Address]; ok {
		p.of[at] += part
		return
	}
	p.at[e.Address] = len(p.endpoints)
	p.endpoints, p.of = append(p.endpoints, e), append(p.of, part)
}

// taking returns the endpoints that take new connections: those that are
// ready, and without one those that drain.
func taking(set *mesh.EndpointSet) []mesh.Endpoint {
	if set == nil {
		return nil
	}
	ready := slices.DeleteFunc(slices.Clone(set.Endpoints), func(e mesh.Endpoint) bool { return e.State != mesh.EndpointReady })
	if len(ready) > 0 {
		return ready
	}
	return set.Endpoints
}

// maxUnit keeps a weight of 32 bits times the unit within 64.
const maxUnit = math.MaxInt32

// commonUnit returns the least common multiple of the unit and n, so that parts
// come out even. Where that is too large they are off by rounding.
func commonUnit(unit, n uint64) uint64 {
	a, b := unit, n
	for b > 0 {
		a, b = b, a%b
	}
	if lcm := unit / a * n; lcm <= maxUnit {
		return lcm
	}
	return maxUnit
}
