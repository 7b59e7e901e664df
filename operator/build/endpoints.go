package build

import (
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
// An endpoint of a pod is left out until the pod has been seen: whether it
// has a sidecar decides whether it may be called in plaintext.
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
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		endpoint := mesh.Endpoint{Address: netip.AddrPortFrom(addr, port), State: state}
		if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
			pod, seen := snapshot.Pods[mesh.PodKey{Namespace: namespace, Name: e.TargetRef.Name}]
			if !seen {
				continue
			}
			if pod != nil && pod.Meshed {
				endpoint.Meshed, endpoint.Identity = true, pod.Identity
			}
		} else if pod := snapshot.PodsByIP[addr]; pod != nil && pod.Meshed {
			endpoint.Meshed, endpoint.Identity = true, pod.Identity
		}
		if before, twice := set[endpoint.Address]; twice && before.State == mesh.EndpointReady {
			continue
		}
		set[endpoint.Address] = endpoint
	}
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
