package mesh

import (
	"cmp"
	"net/netip"
	"strconv"
)

// Protocol is how connections to a port are read.
type Protocol int

const (
	// ProtocolDetect reads the first bytes: HTTP if they look so, else TCP.
	ProtocolDetect Protocol = iota
	// ProtocolHTTP is HTTP/1.1, HTTP/2 or gRPC.
	ProtocolHTTP
	// ProtocolTCP is anything else; nothing is read before connecting, so a
	// server may speak first.
	ProtocolTCP
)

// Service is a Kubernetes Service with at least one TCP port.
type Service struct {
	Key ServiceKey
	// Addresses are its cluster IPs; empty for a headless service.
	Addresses []netip.Addr
	// Ports are ordered by number.
	Ports []*Port
}

// Port is one TCP port of a service.
type Port struct {
	Key      PortKey
	Number   uint16
	Name     string
	Protocol Protocol
	// Headless is true when the service has no address: callers dial the
	// endpoints themselves.
	Headless bool
	// Matched take the requests that they describe, the first that does. Only
	// requests are described, so there are none where Protocol is ProtocolTCP.
	Matched []*Route
	// Route says where the other requests go, and connections that are none.
	// Nil means to the port's own endpoints; of a headless service, to the one
	// that was dialled.
	Route *Route
}

// Split is true if a route shares what is for the port.
func (p *Port) Split() bool { return p.Route != nil || len(p.Matched) > 0 }

// PortKey names a service port.
type PortKey struct {
	Service ServiceKey
	Port    uint16
}

// Compare orders keys by service, then number.
func (k PortKey) Compare(o PortKey) int {
	return cmp.Or(k.Service.Compare(o.Service), cmp.Compare(k.Port, o.Port))
}

// String returns namespace/name/port.
func (k PortKey) String() string {
	return k.Service.String() + "/" + strconv.Itoa(int(k.Port))
}

// Route shares the requests to one port among backends, or the connections.
type Route struct {
	// Origin names the object the route comes from, for people.
	Origin string
	// Matches describe the requests that a route of Port.Matched takes; one
	// must hold. Port.Route has none.
	Matches []HTTPMatch
	// Cohort has requests of one user go the same way.
	Cohort Cohort
	// Shares add up to at most 2^32-1 (RouteAction.weighted_clusters). If
	// they add up to nothing requests are answered with 503 and connections
	// are closed.
	Shares []Share
}

// Cohort is what tells users apart: the value of a header, its name in lower case, or
// of a cookie. The zero value is nothing: each request goes its own way.
type Cohort struct{ Header, Cookie string }

// Total returns the sum of the weights.
func (r *Route) Total() uint64 {
	var sum uint64
	for _, share := range r.Shares {
		sum += uint64(share.Weight)
	}
	return sum
}

// Share is the part that one backend gets.
type Share struct {
	Backend PortKey
	Weight  uint32
	// Missing is true when there is no such Service, or its port takes no
	// requests; its share is answered with 500, or closed, and never given to
	// another backend.
	Missing bool
}

// EndpointState says whether an endpoint takes new requests.
type EndpointState int

const (
	// EndpointReady takes requests.
	EndpointReady EndpointState = iota
	// EndpointDraining finishes what it has: its pod is ending but serves.
	EndpointDraining
)

// Endpoint is one address behind a service port.
type Endpoint struct {
	Address netip.AddrPort
	State   EndpointState
	// Meshed is true when connections end at a sidecar; it is then called by
	// mutual TLS only and its certificate must show Identity.
	Meshed   bool
	Identity Identity
}

// EndpointSet is what stands behind a service port at one moment.
type EndpointSet struct {
	Key PortKey
	// Endpoints are ordered by address.
	Endpoints []Endpoint
	// Identities are those of the meshed endpoints, ordered, each once.
	Identities []Identity
}
