package differential_test

import (
	"net/netip"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// self is the identity of the pod whose sidecar is under test.
var self = mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}

var (
	web   = mesh.Identity{Namespace: "shop", ServiceAccount: "web"}
	admin = mesh.Identity{Namespace: "ops", ServiceAccount: "admin"}
	// dotted is a name that is an expression, too, and dotless one that the
	// expression matches.
	dotted  = mesh.Identity{Namespace: "shop", ServiceAccount: "cert-manager.io"}
	dotless = mesh.Identity{Namespace: "shop", ServiceAccount: "cert-managerxio"}
	// longer has another's name as its beginning.
	longer = mesh.Identity{Namespace: "shop", ServiceAccount: "web2"}
)

// httpPorts are those of the pod that speak HTTP/1, as Services have them, too.
var httpPorts = []uint16{portEcho, portMux, portTwice, portNginx}

// meshOf is a mesh of one pod with a sidecar and the given policy for it, one
// without, a Service for each port of the first, and one of both.
func meshOf(policy *mesh.Policy) *mesh.Snapshot {
	key := mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1"}
	cart := &mesh.Pod{
		Key: mesh.PodKey{Namespace: "shop", Name: "cart-1"}, UID: "uid-1", Identity: self, Meshed: true, Workload: key,
		IPs: []netip.Addr{netip.MustParseAddr(podAddress)},
	}
	plain := &mesh.Pod{
		Key: mesh.PodKey{Namespace: "shop", Name: "plain-1"}, UID: "uid-2", Identity: mesh.Identity{Namespace: "shop", ServiceAccount: "plain"},
		IPs: []netip.Addr{netip.MustParseAddr(plainAddress)},
	}
	s := &mesh.Snapshot{
		Settings: mesh.Settings{TrustDomain: trustDomain},
		Pods:     mesh.TableOf(map[mesh.PodKey]*mesh.Pod{cart.Key: cart, plain.Key: plain}),
		PodsByIP: mesh.TableOf(map[netip.Addr]*mesh.Pod{cart.IPs[0]: cart, plain.IPs[0]: plain}),
		Workloads: mesh.TableOf(map[mesh.WorkloadKey]*mesh.Workload{key: {
			Key: key, Identity: self,
			Probes: []mesh.Probe{{Port: portEcho, Path: "/healthz", Method: "GET"}, {Port: portEcho, Path: "/ready?full=1", Method: "GET"}},
		}}),
		Policies: mesh.TableOf(map[mesh.Identity]*mesh.Policy{self: policy}),
	}
	for _, number := range append(httpPorts, portTCP) {
		protocol := mesh.ProtocolHTTP
		if number == portTCP {
			protocol = mesh.ProtocolTCP
		}
		addService(s, serviceName(number), number, protocol, mesh.Endpoint{
			Address: netip.AddrPortFrom(cart.IPs[0], number), Meshed: true, Identity: self,
		})
	}
	addService(s, "plain", portEcho, mesh.ProtocolHTTP, mesh.Endpoint{Address: netip.AddrPortFrom(plain.IPs[0], portEcho)})
	addService(s, "empty", portEcho, mesh.ProtocolHTTP)
	addService(s, "both", portEcho, mesh.ProtocolHTTP,
		mesh.Endpoint{Address: netip.AddrPortFrom(cart.IPs[0], portEcho), Meshed: true, Identity: self},
		mesh.Endpoint{Address: netip.AddrPortFrom(plain.IPs[0], portEcho)})
	return s
}

func serviceName(port uint16) string {
	return map[uint16]string{portEcho: "echo", portMux: "mux", portTwice: "twice", portNginx: "nginx", portTCP: "tcp"}[port]
}

// addService adds a Service of one port; its address follows from how many
// there are.
func addService(s *mesh.Snapshot, name string, number uint16, protocol mesh.Protocol, endpoints ...mesh.Endpoint) {
	key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: number}
	s.Services = s.Services.With(key.Service, &mesh.Service{
		Key: key.Service, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, 0, byte(s.Services.Len() + 1)})},
		Ports: []*mesh.Port{{Key: key, Number: number, Protocol: protocol}},
	})
	if len(endpoints) == 0 {
		return
	}
	set := &mesh.EndpointSet{Key: key, Endpoints: endpoints}
	if endpoints[0].Meshed {
		set.Identities = []mesh.Identity{endpoints[0].Identity}
	}
	s.Endpoints = s.Endpoints.With(key, set)
}

// corpusPolicy has a rule of every kind.
func corpusPolicy() *mesh.Policy {
	return &mesh.Policy{Destination: self, Closed: true, Grants: []mesh.Grant{
		{
			Origin: "TrafficTarget shop/web", Sources: []mesh.Identity{web, dotted},
			Ports: []uint16{portEcho, portMux, portTwice, portNginx, portNginx2},
			HTTP: []mesh.HTTPMatch{
				{Name: "public", Methods: []string{"GET"}, PathRegex: "/public/.*"},
				{Name: "one-level", Methods: []string{"GET"}, PathRegex: "/items/[a-z]+"},
				{Name: "by-role", Methods: []string{"GET", "POST"}, PathRegex: "/team(/.*)?", Headers: []mesh.HeaderMatch{{Name: "x-role", Regex: "admin"}}},
				{Name: "not-admin", Methods: []string{"GET"}, PathRegex: "/[^a].*/open"},
			},
		},
		{Origin: "TrafficTarget shop/ops", Sources: []mesh.Identity{admin}},
	}}
}
