package mesh

import (
	"cmp"
	"net/netip"
	"strings"
)

// Snapshot is the whole mesh at one moment. It is made from the one before and
// shares with it what did not change.
type Snapshot struct {
	// Generation grows by one with every snapshot of one process.
	Generation uint64
	Settings   Settings
	Services   Table[ServiceKey, *Service]
	// Endpoints holds the endpoints of every service port, by name. A port
	// without endpoints has no entry.
	Endpoints Table[PortKey, *EndpointSet]
	// Pods are all that have not ended, by name.
	Pods Table[PodKey, *Pod]
	// PodsByIP are the same pods by each of their addresses, without those on
	// the node's network. Where several pods claim one address it is the pod's
	// that most likely has it now.
	PodsByIP Table[netip.Addr, *Pod]
	// Workloads are the groups of pods that share an inbound configuration.
	Workloads Table[WorkloadKey, *Workload]
	// Policies tell who may call a service account. An identity without an
	// entry has the policy that DefaultPolicy returns for its namespace.
	Policies Table[Identity, *Policy]
	// NamespaceAccess overrides Settings.Access where it has an entry.
	NamespaceAccess Table[string, Access]
	// Uses tells what each SMI object has part in. One without an entry has
	// part in nothing.
	Uses Table[ObjectKey, *Use]
}

// Use is what an object has part in.
type Use struct {
	// Ports are those whose route it makes, ordered, each once.
	Ports []PortKey
	// Identities are those whose policy it makes, ordered, each once.
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
	if access, ok := s.NamespaceAccess.Lookup(namespace); ok {
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
	if !port.Headless || !port.Split() {
		return out
	}
	if set := s.Endpoints.Get(port.Key); set != nil {
		for _, endpoint := range set.Endpoints {
			out = append(out, endpoint.Address)
		}
	}
	return out
}

// Port returns the port of that name, nil if there is none.
func (s *Snapshot) Port(key PortKey) *Port {
	if service := s.Services.Get(key.Service); service != nil {
		for _, port := range service.Ports {
			if port.Key == key {
				return port
			}
		}
	}
	return nil
}

// PodKey names a pod.
type PodKey struct{ Namespace, Name string }

// Compare orders keys by namespace, then name.
func (k PodKey) Compare(o PodKey) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// ServiceKey names a Service.
type ServiceKey struct{ Namespace, Name string }

// String returns namespace/name.
func (k ServiceKey) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then name.
func (k ServiceKey) Compare(o ServiceKey) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// Identity is a service account: what a certificate proves.
type Identity struct{ Namespace, ServiceAccount string }

// SPIFFE returns the identity's SPIFFE id in the trust domain.
func (i Identity) SPIFFE(trustDomain string) string {
	return "spiffe://" + trustDomain + "/ns/" + i.Namespace + "/sa/" + i.ServiceAccount
}

// Compare orders identities by namespace, then service account.
func (i Identity) Compare(o Identity) int {
	return cmp.Or(strings.Compare(i.Namespace, o.Namespace), strings.Compare(i.ServiceAccount, o.ServiceAccount))
}
