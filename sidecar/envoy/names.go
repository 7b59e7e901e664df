package envoy

import (
	"net/netip"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Names of resources are an API: proxies that are running hold them. This
// file is the only place that makes them.
const (
	// Outbound names the listener, the route configuration and the prefix of
	// the virtual hosts of the outbound side; it is the same for the mesh.
	Outbound = "outbound"
	// Ready names the listener and the cluster of the readiness check.
	Ready = "ready"
	// InboundCluster leads to the application, wherever the caller went.
	InboundCluster = "inbound"
	// InboundTLSCluster leads there over TLS.
	InboundTLSCluster = "inbound-tls"
	// IdentitySecret and RootsSecret name what SDS delivers.
	IdentitySecret = "identity"
	RootsSecret    = "roots"
	// PlaceholderHost names a virtual host that matches nothing. Envoy takes
	// an empty first VHDS answer for none at all and waits.
	PlaceholderHost = Outbound + "/heddle.invalid"

	// inbound is what a proxy calls its inbound listener.
	inbound      = "inbound"
	tcpPrefix    = "tcp|"
	directPrefix = "dst|"
)

// HeaderDestination carries the original destination from the listener to
// the route; it is removed before a request leaves the proxy.
const HeaderDestination = "x-heddle-dst"

const (
	headerCluster   = "x-heddle-cluster"
	headerPath      = "x-heddle-path"
	headerPort      = "x-heddle-port"
	headerRetriable = "x-heddle-retriable"
	// headerAttempt is Envoy's own: which attempt at the request this is.
	headerAttempt = "x-envoy-attempt-count"
)

const (
	alpnHTTP = "heddle"
	alpnTCP  = "heddle-tcp"
)

// VirtualHost names the virtual host of one address and port.
func VirtualHost(addr netip.AddrPort) string { return Outbound + "/" + addr.String() }

// HTTPCluster names the cluster that carries requests to a service port.
func HTTPCluster(key mesh.PortKey) string { return "http/" + key.String() }

// TCPCluster names the cluster that carries connections made to an address.
func TCPCluster(addr netip.AddrPort) string { return tcpPrefix + addr.String() }

// DirectCluster names the cluster that carries requests to an address that
// is no Service's, such as a pod's own.
func DirectCluster(addr netip.AddrPort) string { return directPrefix + addr.String() }

// Assignment names the endpoints of a service port, which its clusters share.
func Assignment(key mesh.PortKey) string { return key.String() }

// SplitAssignment names the endpoints of all backends that connections to a
// service port are shared among.
func SplitAssignment(key mesh.PortKey) string { return "split/" + key.String() }

// InboundListener names the resource that is the inbound listener of a
// workload's pods.
func InboundListener(key mesh.WorkloadKey) string { return inbound + "/" + workloadName(key) }

// InboundRoutes names what callers with a certificate may do to an identity.
func InboundRoutes(id mesh.Identity) string {
	return inbound + "/" + id.Namespace + "/" + id.ServiceAccount
}

// PlaintextRoutes names what callers without a certificate may do to a
// workload.
func PlaintextRoutes(key mesh.WorkloadKey) string { return "plaintext/" + workloadName(key) }

func workloadName(key mesh.WorkloadKey) string {
	return strings.Join([]string{key.Namespace, key.Kind, key.Name, key.Variant}, "/")
}

// Scheme says what kind of on-demand cluster a name asks for.
type Scheme int

const (
	// SchemeTCP is a cluster for connections (TCPCluster).
	SchemeTCP Scheme = iota + 1
	// SchemeDirect is a cluster for requests (DirectCluster).
	SchemeDirect
)

// ParseDestination reads a cluster name that a proxy made from an original
// destination. It returns false for every other name.
func ParseDestination(name string) (Scheme, netip.AddrPort, bool) {
	scheme := SchemeTCP
	text, ok := strings.CutPrefix(name, tcpPrefix)
	if !ok {
		scheme = SchemeDirect
		if text, ok = strings.CutPrefix(name, directPrefix); !ok {
			return 0, netip.AddrPort{}, false
		}
	}
	addr, err := netip.ParseAddrPort(text)
	if err != nil || addr.Port() == 0 || addr.Addr().Zone() != "" || addr.String() != text {
		return 0, netip.AddrPort{}, false
	}
	return scheme, addr, true
}
