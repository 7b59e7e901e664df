package catalog

import (
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/endpoints"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// ports makes what service ports have by their names and by their addresses.
func (s *step) ports() {
	old, now := s.old.snapshot, s.next.snapshot
	// behind are the ports whose endpoints differ, or those of a backend do.
	touched, behind := set[mesh.PortKey]{}, set[mesh.PortKey]{}
	for key := range mesh.Changed(old.Services, now.Services) {
		before, after := old.Services.Get(key), now.Services.Get(key)
		s.share(before, s.next.sharing.remove)
		s.share(after, s.next.sharing.add)
		for _, service := range []*mesh.Service{before, after} {
			if service != nil {
				for _, port := range service.Ports {
					touched.add(port.Key)
				}
			}
		}
	}
	for key := range mesh.Changed(old.Endpoints, now.Endpoints) {
		touched.add(key)
		behind.add(key)
		touched.addAll(s.next.sharing.with(key))
		if !slices.Equal(identities(old, key), identities(now, key)) {
			s.redirect(key)
			for root := range s.next.sharing.with(key) {
				s.redirect(root)
			}
		}
	}
	stale := staleAddresses{}
	for key := range touched {
		before, after := old.Port(key), now.Port(key)
		s.port(key, after)
		s.mix(key, after)
		_, moves := behind[key]
		if before != after || moves && after != nil && after.Headless && after.Split() {
			s.reclaim(stale, key, before, after)
		}
	}
	s.addresses(stale)
}

// share calls the function with each backend of the service's ports, and the
// port.
func (s *step) share(service *mesh.Service, link func(backend, root mesh.PortKey)) {
	if service == nil {
		return
	}
	for _, port := range service.Ports {
		if port.Route == nil {
			continue
		}
		for _, share := range port.Route.Shares {
			link(share.Backend, port.Key)
		}
	}
}

// redirect notes that what is dialled at the port's addresses ends with others
// than before.
func (s *step) redirect(key mesh.PortKey) {
	service, port := s.next.snapshot.Services.Get(key.Service), s.next.snapshot.Port(key)
	if port == nil {
		return
	}
	for _, dst := range s.next.snapshot.Destinations(service, port) {
		s.groups.add(dst.Addr())
	}
}

// port makes what a service port has by its name; port is nil if there is none.
func (s *step) port(key mesh.PortKey, port *mesh.Port) {
	now := s.next.snapshot
	assignment, split, cluster := envoy.Assignment(key), envoy.SplitAssignment(key), envoy.HTTPCluster(key)
	if port == nil {
		s.drop(xds.TypeEndpoints, assignment)
		s.drop(xds.TypeEndpoints, split)
		s.drop(xds.TypeCluster, cluster)
		return
	}
	origin := "Service " + key.Service.String()
	s.put(xds.TypeEndpoints, assignment, origin, endpoints.Assignment(key, now.Endpoints.Get(key)))
	if port.Route != nil {
		s.put(xds.TypeEndpoints, split, port.Route.Origin, endpoints.Split(port, setsOf(now, port.Route)))
	} else {
		s.drop(xds.TypeEndpoints, split)
	}
	if port.Protocol == mesh.ProtocolTCP {
		s.drop(xds.TypeCluster, cluster)
		return
	}
	s.put(xds.TypeCluster, cluster, origin, envoy.PortCluster(cluster, true, key, identities(now, key), now.Settings.TrustDomain))
}

// setsOf are the endpoints of all backends of the route.
func setsOf(snapshot *mesh.Snapshot, route *mesh.Route) map[mesh.PortKey]*mesh.EndpointSet {
	out := make(map[mesh.PortKey]*mesh.EndpointSet, len(route.Shares))
	for _, share := range route.Shares {
		if set := snapshot.Endpoints.Get(share.Backend); set != nil {
			out[share.Backend] = set
		}
	}
	return out
}

// originOf names the objects that say where what is for the port goes.
func originOf(port *mesh.Port) string {
	if !port.Split() {
		return "Service " + port.Key.Service.String()
	}
	var origins []string
	for _, route := range port.Matched {
		origins = append(origins, route.Origin)
	}
	if port.Route != nil {
		origins = append(origins, port.Route.Origin)
	}
	return strings.Join(origins, ", ")
}

func identities(snapshot *mesh.Snapshot, key mesh.PortKey) []mesh.Identity {
	if set := snapshot.Endpoints.Get(key); set != nil {
		return set.Identities
	}
	return nil
}
