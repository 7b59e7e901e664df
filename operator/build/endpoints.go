package build

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// applySlices takes in slices, and whose endpoints they have.
func (s *step) applySlices(changes Of[*discoveryv1.EndpointSlice]) {
	for name, now := range changes {
		if before := s.slices[name]; before != nil {
			service := serviceOfSlice(before)
			s.slicesOf.remove(service, name)
			linkEndpoints(before, s.behindPod.remove, s.behindAddr.remove)
			s.staleEndpoints.add(service)
			delete(s.slices, name)
		}
		if now != nil {
			service := serviceOfSlice(now)
			s.slicesOf.add(service, name)
			linkEndpoints(now, s.behindPod.add, s.behindAddr.add)
			s.staleEndpoints.add(service)
			s.slices[name] = now
		}
	}
}

func serviceOfSlice(slice *discoveryv1.EndpointSlice) mesh.ServiceKey {
	return mesh.ServiceKey{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
}

// linkEndpoints calls the functions with what the slice's service depends on.
func linkEndpoints(slice *discoveryv1.EndpointSlice, pod func(mesh.PodKey, mesh.ServiceKey), address func(netip.Addr, mesh.ServiceKey)) {
	service := serviceOfSlice(slice)
	for _, e := range slice.Endpoints {
		if key, ok := podNamed(slice.Namespace, e.TargetRef); ok {
			pod(key, service)
		}
		for _, text := range e.Addresses {
			if addr, ok := parseAddr(text); ok {
				address(addr, service)
			}
		}
	}
}

// makeEndpoints finds what stands behind the ports of services. A backend that
// gets its first or loses its last is news to the splits that name it.
//
// An endpoint of a pod is left out until that very pod has been seen: whether
// it has a sidecar decides whether it may be called in plaintext. It is left
// out, too, when its address has become another pod's. Endpoints that are the
// same address and port count once: a meshed one rather than one that is not,
// then a ready one rather than one that drains.
func (s *step) makeEndpoints() {
	for service := range s.staleEndpoints {
		now := s.endpointsOf(service)
		for key := range s.portsOf(service) {
			before := s.endpoints.Get(key)
			if now[key] != nil {
				keep(s.endpoints, key, now[key])
			} else {
				s.endpoints.Drop(key)
			}
			if (before == nil) != (now[key] == nil) {
				s.staleRoots.addAll(s.rootsBehind.of(service))
			}
		}
	}
}

// portsOf yields the ports that the service had or has.
func (s *step) portsOf(key mesh.ServiceKey) iter.Seq[mesh.PortKey] {
	return func(yield func(mesh.PortKey) bool) {
		for _, service := range []*mesh.Service{s.Builder.snapshot.Services.Get(key), s.Builder.services[key]} {
			if service == nil {
				continue
			}
			for _, port := range service.Ports {
				if !yield(port.Key) {
					return
				}
			}
		}
	}
}

func (s *step) endpointsOf(key mesh.ServiceKey) map[mesh.PortKey]*mesh.EndpointSet {
	service := s.Builder.services[key]
	if service == nil {
		return nil
	}
	found := map[mesh.PortKey]map[netip.AddrPort]mesh.Endpoint{}
	for name := range s.slicesOf.of(key) {
		slice := s.slices[name]
		if slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, target := range slice.Ports {
			port := portNamed(service, target)
			if port == nil || target.Port == nil || *target.Port < 1 || *target.Port > 65535 {
				continue
			}
			set := found[port.Key]
			if set == nil {
				set = make(map[netip.AddrPort]mesh.Endpoint, len(slice.Endpoints))
				found[port.Key] = set
			}
			for _, e := range slice.Endpoints {
				s.addEndpoint(set, slice.Namespace, e, uint16(*target.Port))
			}
		}
	}
	out := make(map[mesh.PortKey]*mesh.EndpointSet, len(found))
	for key, endpoints := range found {
		if len(endpoints) > 0 {
			out[key] = endpointSet(key, endpoints)
		}
	}
	return out
}

func portNamed(service *mesh.Service, target discoveryv1.EndpointPort) *mesh.Port {
	if target.Protocol != nil && *target.Protocol != corev1.ProtocolTCP {
		return nil
	}
	name := ""
	if target.Name != nil {
		name = *target.Name
	}
	for _, port := range service.Ports {
		if port.Name == name {
			return port
		}
	}
	return nil
}

func (s *step) addEndpoint(set map[netip.AddrPort]mesh.Endpoint, namespace string, e discoveryv1.Endpoint, port uint16) {
	state, ok := stateOf(e.Conditions)
	if !ok {
		return
	}
	for _, text := range e.Addresses {
		addr, ok := parseAddr(text)
		if !ok {
			continue
		}
		pod, ok := s.podAt(addr, namespace, e.TargetRef)
		if !ok {
			continue
		}
		endpoint := mesh.Endpoint{Address: netip.AddrPortFrom(addr, port), State: state}
		if pod != nil && pod.SidecarAt(port) {
			endpoint.Meshed, endpoint.Identity = true, pod.Identity
		}
		if before, twice := set[endpoint.Address]; !twice || preference(endpoint, before) < 0 {
			set[endpoint.Address] = endpoint
		}
	}
}

// podAt returns the pod that answers at the address, nil if it is none's. It
// returns false when the endpoint is a pod's that is not known, or that is not
// the one at the address.
func (s *step) podAt(addr netip.Addr, namespace string, ref *corev1.ObjectReference) (*mesh.Pod, bool) {
	owner := s.podsByIP.Get(addr)
	key, ok := podNamed(namespace, ref)
	if !ok {
		return owner, true
	}
	pod := s.pods.Get(key)
	if pod == nil || (ref.UID != "" && string(ref.UID) != pod.UID) {
		return nil, false
	}
	return pod, owner == nil || owner.Key == pod.Key
}

// podNamed returns the pod that the reference of an endpoint names, false if it
// names none.
func podNamed(namespace string, ref *corev1.ObjectReference) (mesh.PodKey, bool) {
	if ref == nil || ref.Kind != "Pod" {
		return mesh.PodKey{}, false
	}
	return mesh.PodKey{Namespace: cmp.Or(ref.Namespace, namespace), Name: ref.Name}, true
}

// preference orders endpoints of one address by which of them counts.
func preference(x, y mesh.Endpoint) int {
	if x.Meshed != y.Meshed {
		if x.Meshed {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(x.State, y.State), x.Identity.Compare(y.Identity))
}

// stateOf reads the conditions: unknown readiness counts as ready, as the API
// says.
func stateOf(c discoveryv1.EndpointConditions) (mesh.EndpointState, bool) {
	if c.Ready == nil || *c.Ready {
		return mesh.EndpointReady, true
	}
	serving := c.Serving != nil && *c.Serving
	terminating := c.Terminating != nil && *c.Terminating
	return mesh.EndpointDraining, serving && terminating
}

func endpointSet(key mesh.PortKey, endpoints map[netip.AddrPort]mesh.Endpoint) *mesh.EndpointSet {
	set := &mesh.EndpointSet{Key: key}
	for _, e := range endpoints {
		set.Endpoints = append(set.Endpoints, e)
		if e.Meshed {
			set.Identities = append(set.Identities, e.Identity)
		}
	}
	slices.SortFunc(set.Endpoints, func(x, y mesh.Endpoint) int { return x.Address.Compare(y.Address) })
	slices.SortFunc(set.Identities, mesh.Identity.Compare)
	set.Identities = slices.Compact(set.Identities)
	return set
}

// parseAddr reads an address as it stands on the wire: an IPv4 address that is
// written as IPv6 is the IPv4 address. One with a zone is no destination.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
