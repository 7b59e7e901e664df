package explain

import (
	"net/netip"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Protocol is what the caller speaks.
type Protocol int

const (
	// HTTP1 is HTTP/1.0 and HTTP/1.1.
	HTTP1 Protocol = iota
	// HTTP2 includes gRPC.
	HTTP2
	// TCP is everything else; of a Request only where it goes is looked at.
	TCP
)

// Request is one request, or with TCP one connection, as its caller sends it.
type Request struct {
	From Caller
	// To is the service port that the caller dials. Where it is zero the
	// caller dials Address.
	To mesh.PortKey
	// Address is a pod's, a service's or any other.
	Address netip.AddrPort
	// Excluded is what the caller reaches past its sidecar.
	Excluded mesh.Exclusion

	Protocol Protocol
	// TLS is true for a caller who speaks TLS of its own in the connection, as
	// probes of scheme HTTPS do. A sidecar of the caller can't read what is in it.
	TLS    bool
	Method string
	// Target is what stands in the request line or in :path, byte for byte.
	Target string
	// Authority is the Host header or :authority.
	Authority string
	// Headers are in the order they are sent, one entry for each line.
	Headers []Header
}

// Caller is who sends a request.
type Caller struct {
	// Outside is true for callers without a sidecar; they have no identity.
	Outside  bool
	Identity mesh.Identity
}

// String returns the caller as people name it.
func (c Caller) String() string {
	if c.Outside {
		return "a caller outside the mesh"
	}
	return "service account " + c.Identity.Namespace + "/" + c.Identity.ServiceAccount
}

// Header is one header line.
type Header struct{ Name, Value string }

// lines returns the values of a header, one for each line. Host and :authority
// are the same thing.
func (r Request) lines(name string) []string {
	switch name = strings.ToLower(name); name {
	case "host", ":authority":
		return []string{r.Authority}
	case ":method":
		return []string{r.Method}
	}
	var values []string
	for _, h := range r.Headers {
		if strings.ToLower(h.Name) == name {
			values = append(values, h.Value)
		}
	}
	return values
}
