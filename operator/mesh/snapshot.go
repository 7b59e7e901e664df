package mesh

import (
	"net/netip"
	"slices"
	"strings"
)

// Snapshot is the whole mesh at one moment. All maps are read-only.
type Snapshot struct {
	// Generation grows by one with every snapshot of one process.
	Generation uint64
	Settings   Settings
	Services   map[ServiceKey]*Service
	// Endpoints holds the endpoints of every service port, by name. A port
	// without endpoints has no entry.
	Endpoints map[PortKey]*EndpointSet
	// Pods are all that have not ended, by name.
	Pods map[PodKey]*Pod
	// PodsByIP are the same pods by each of their addresses, without those on
	// the node's network. Where several pods claim one address it is the pod's
	// that most likely has it now.
	PodsByIP map[netip.Addr]*Pod
	// Workloads are the groups of pods that share an inbound configuration.
	Workloads map[WorkloadKey]*Workload
	// Policies tell who may call a service account. An identity without an
	// entry has the policy that DefaultPolicy returns for its namespace.
	Policies map[Identity]*Policy
	// NamespaceAccess overrides Settings.Access where it has an entry.
	NamespaceAccess map[string]Access
	// Uses tells what each SMI object has part in. One without an entry has
	// part in nothing.
	Uses map[ObjectRef]Use
}

// Use is what an object has part in.
type Use struct {
	// Ports are those whose route it makes.
	Ports []PortKey
	// Identities are those whose policy it makes.
	Identities []Identity
}

// Settings hold for the whole mesh.
type Settings struct {
	// TrustDomain is the host part of every SPIFFE id.
	TrustDomain string
	// Strict refuses plaintext from outside the mesh where a workload has no
	// mode of its own.
	Strict bool
	// Access is the default for identities that no target names.
	Access Access
	// EgressDenied closes destinations that are neither a Service nor a pod.
	EgressDenied bool
}

// Access says what happens to a request that no grant covers.
type Access int

const (
	// AllowUnlessTargeted admits everything to an identity that no target
	// names, and only what is granted to one that is named.
	AllowUnlessTargeted Access = iota
	// Deny admits only what is granted.
	Deny
	// Allow admits everything.
	Allow
)

// DefaultPolicy returns the access of an identity that no target names:
// true when it is closed.
func (s *Snapshot) DefaultPolicy(namespace string) (closed bool) {
	return s.AccessOf(namespace) == Deny
}

// AccessOf returns the access mode that holds in the namespace.
func (s *Snapshot) AccessOf(namespace string) Access {
	if access, ok := s.NamespaceAccess[namespace]; ok {
		return access
	}
	return s.Settings.Access
}

// Destinations returns the addresses by which a call is known to be one for
// the port: those of the service with the port's number. A headless service has
// none; where it is split those of its endpoints stand in, by whatever name a
// caller came to them.
func (s *Snapshot) Destinations(service *Service, port *Port) []netip.AddrPort {
	var out []netip.AddrPort
	for _, addr := range service.Addresses {
		out = append(out, netip.AddrPortFrom(addr, port.Number))
	}
	if port.Headless && port.Split() && s.Endpoints[port.Key] != nil {
		for _, endpoint := range s.Endpoints[port.Key].Endpoints {
			out = append(out, endpoint.Address)
		}
	}
	return out
}

// HasShare is true if a route gives the port a share, be it of nothing.
func (s *Snapshot) HasShare(key PortKey) bool {
	has := func(route *Route) bool {
		return route != nil && slices.ContainsFunc(route.Shares, func(share Share) bool { return share.Backend == key })
	}
	for _, service := range s.Services {
		for _, port := range service.Ports {
			if has(port.Route) || slices.ContainsFunc(port.Matched, has) {
				return true
			}
		}
	}
	return false
}

// PodKey names a pod.
type PodKey struct{ Namespace, Name string }

// ServiceKey names a Service.
type ServiceKey struct{ Namespace, Name string }

// String returns namespace/name.
func (k ServiceKey) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then name.
func (k ServiceKey) Compare(o ServiceKey) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Identity is a service account: what a certificate proves.
type Identity struct{ Namespace, ServiceAccount string }

// SPIFFE returns the identity's SPIFFE id in the trust domain.
func (i Identity) SPIFFE(trustDomain string) string {
	return "spiffe://" + trustDomain + "/ns/" + i.Namespace + "/sa/" + i.ServiceAccount
}

// Compare orders identities by namespace, then service account.
func (i Identity) Compare(o Identity) int {
	if c := strings.Compare(i.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(i.ServiceAccount, o.ServiceAccount)
}
