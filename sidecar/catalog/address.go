package catalog

import (
	"net/netip"
	"slices"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// claim are the ports that claim one address, the first by name and number first:
// the address is its.
type claim struct{ ports []*mesh.Port }

// owner returns the port that has the address, nil if it is none's.
func (c *claim) owner() *mesh.Port {
	if c == nil {
		return nil
	}
	return c.ports[0]
}

// number is what a port number is used for among destinations.
type number struct {
	// tcp counts the service ports, and the addresses of such, that are not to
	// be inspected.
	tcp int
	// http are the addresses that may speak HTTP.
	http mesh.Table[netip.AddrPort, struct{}]
}

// staleAddresses are the addresses whose claims have changed.
type staleAddresses = set[netip.AddrPort]

// reclaim takes the port's old claims back and makes the new ones. Either port
// may be nil.
func (s *step) reclaim(stale staleAddresses, key mesh.PortKey, before, after *mesh.Port) {
	if before != nil {
		for _, dst := range s.old.snapshot.Destinations(s.old.snapshot.Services.Get(key.Service), before) {
			s.unclaim(dst, key)
			stale.add(dst)
		}
		if before.Protocol == mesh.ProtocolTCP {
			s.count(before.Number, -1)
		}
	}
	if after != nil {
		for _, dst := range s.next.snapshot.Destinations(s.next.snapshot.Services.Get(key.Service), after) {
			s.claim(dst, after)
			stale.add(dst)
		}
		if after.Protocol == mesh.ProtocolTCP {
			s.count(after.Number, 1)
		}
	}
}

func (s *step) claim(dst netip.AddrPort, port *mesh.Port) {
	now := &claim{ports: []*mesh.Port{port}}
	if before := s.next.claims.Get(dst); before != nil {
		now.ports = append(now.ports, before.ports...)
		slices.SortFunc(now.ports, func(x, y *mesh.Port) int { return x.Key.Compare(y.Key) })
	}
	s.next.claims = s.next.claims.With(dst, now)
}

func (s *step) unclaim(dst netip.AddrPort, key mesh.PortKey) {
	before := s.next.claims.Get(dst)
	if before == nil {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(before.ports), func(p *mesh.Port) bool { return p.Key == key })
	if len(rest) == 0 {
		s.next.claims = s.next.claims.Without(dst)
	} else {
		s.next.claims = s.next.claims.With(dst, &claim{ports: rest})
	}
}

// addresses makes what follows from who has which address.
func (s *step) addresses(stale staleAddresses) {
	for dst := range stale {
		before, after := s.old.claims.Get(dst).owner(), s.next.claims.Get(dst).owner()
		if before == after {
			continue
		}
		s.groups.add(dst.Addr())
		s.use(dst, before, after)
		name := envoy.VirtualHost(dst)
		if after == nil || after.Protocol == mesh.ProtocolTCP {
			s.drop(xds.TypeVirtualHost, name)
		} else {
			s.put(xds.TypeVirtualHost, name, originOf(after), envoy.ServiceHost(dst, after))
		}
	}
	if s.old.numbers == s.next.numbers {
		return
	}
	s.next.outbound = outboundPorts(s.next.numbers)
	if !slices.Equal(s.next.outbound.TCP, s.old.outbound.TCP) || !slices.Equal(s.next.outbound.HTTP, s.old.outbound.HTTP) {
		s.put(xds.TypeListener, envoy.Outbound, "", envoy.OutboundListener(s.next.outbound))
	}
}

// use notes what the address's number is used for. The endpoints of a headless
// root may be at another number than its port.
func (s *step) use(dst netip.AddrPort, before, after *mesh.Port) {
	if before != nil && before.Protocol == mesh.ProtocolTCP {
		s.count(dst.Port(), -1)
	}
	if after != nil && after.Protocol == mesh.ProtocolTCP {
		s.count(dst.Port(), 1)
	}
	n := s.next.numbers.Get(dst.Port())
	if after != nil && after.Protocol == mesh.ProtocolHTTP {
		n.http = n.http.With(dst, struct{}{})
	} else {
		n.http = n.http.Without(dst)
	}
	s.number(dst.Port(), n)
}

func (s *step) count(port uint16, by int) {
	n := s.next.numbers.Get(port)
	n.tcp += by
	s.number(port, n)
}

func (s *step) number(port uint16, n number) {
	if n == (number{}) {
		s.next.numbers = s.next.numbers.Without(port)
	} else {
		s.next.numbers = s.next.numbers.With(port, n)
	}
}

// outboundPorts finds the numbers that may not be inspected and who else uses
// them.
func outboundPorts(numbers mesh.Table[uint16, number]) envoy.OutboundPorts {
	var out envoy.OutboundPorts
	for port, n := range numbers.All() {
		if n.tcp > 0 {
			out.TCP = append(out.TCP, port)
			out.HTTP = slices.AppendSeq(out.HTTP, n.http.Keys())
		}
	}
	slices.Sort(out.TCP)
	slices.SortFunc(out.HTTP, netip.AddrPort.Compare)
	return out
}
