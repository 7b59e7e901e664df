package build

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Endpoints returns what stands behind the ports of the services that the
// slices belong to. Of the snapshot it reads Services, Pods and PodsByIP, so
// it can be called for the slices of one service alone.
//
// An endpoint of a pod is left out until that very pod has been seen: whether
// it has a sidecar decides whether it may be called in plaintext. It is left
// out, too, when its address has become another pod's. Endpoints that are the
// same address and port count once: a meshed one rather than one that is not,
// then a ready one rather than one that drains.
func Endpoints(slicesOf []*discoveryv1.EndpointSlice, snapshot *mesh.Snapshot) map[mesh.PortKey]*mesh.EndpointSet {
	found := map[mesh.PortKey]map[netip.AddrPort]mesh.Endpoint{}
	for _, slice := range slicesOf {
		service := snapshot.Services[mesh.ServiceKey{
			Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName],
		}]
		if service == nil || slice.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for _, target := range slice.Ports {
			port := portNamed(service, target)
			if port == nil || target.Port == nil || *target.Port < 1 || *target.Port > 65535 {
				continue
			}
			set := found[port.Key]
			if set == nil {
				set = map[netip.AddrPort]mesh.Endpoint{}
				found[port.Key] = set
			}
			for _, e := range slice.Endpoints {
				addEndpoint(set, slice.Namespace, e, uint16(*target.Port), snapshot)
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

func addEndpoint(set map[netip.AddrPort]mesh.Endpoint, namespace string, e discoveryv1.Endpoint, port uint16, snapshot *mesh.Snapshot) {
	state, ok := stateOf(e.Conditions)
	if !ok {
		return
	}
	for _, text := range e.Addresses {
		addr, ok := parseAddr(text)
		if !ok {
			continue
		}
		pod, ok := podAt(addr, namespace, e.TargetRef, snapshot)
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
func podAt(addr netip.Addr, namespace string, ref *corev1.ObjectReference, snapshot *mesh.Snapshot) (*mesh.Pod, bool) {
	owner := snapshot.PodsByIP[addr]
	if ref == nil || ref.Kind != "Pod" {
		return owner, true
	}
	pod := snapshot.Pods[mesh.PodKey{Namespace: cmp.Or(ref.Namespace, namespace), Name: ref.Name}]
	if pod == nil || (ref.UID != "" && string(ref.UID) != pod.UID) {
		return nil, false
	}
	return pod, owner == nil || owner.Key == pod.Key
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
