package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/endpoints"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Next returns the catalog of the snapshot and what differs from the catalog
// before, which may be nil. What is made follows what differs between the two
// snapshots; maps that they share are not looked into. The error names
// resources that could not be made; the catalog then lacks them.
func Next(before *Catalog, snapshot *mesh.Snapshot, rootsPEM []byte) (*Catalog, xds.Change, error) {
	empty := &Catalog{snapshot: &mesh.Snapshot{}}
	if before == nil {
		before = empty
		before.clusters = newClusters()
	}
	s := &step{
		old:  before,
		next: &Catalog{snapshot: snapshot, rootsPEM: string(rootsPEM), clusters: before.clusters},
	}
	// What holds for the whole mesh is in every resource.
	afresh := len(before.tables) == 0 || before.snapshot.Settings != snapshot.Settings
	if afresh {
		s.old = empty
	}
	s.edit = newEdit(before.tables, afresh)
	s.fixed(afresh)
	s.services()
	s.workloads()
	s.mixed()

	s.next.tables, s.next.hosts = s.edit.after, before.hosts
	if !s.edit.sameNames(xds.TypeVirtualHost) {
		s.next.hosts = slices.Sorted(maps.Keys(s.next.tables[xds.TypeVirtualHost]))
	}
	change := xds.Change{Names: s.edit.changed(), Pods: newcomers(before.snapshot.Pods, snapshot.Pods)}
	if afresh || s.redirected || s.narrowing || differ(s.old.snapshot.PodsByIP, snapshot.PodsByIP) {
		next := s.next
		change.Asked = func(typeURL, name string) bool { return next.differs(before, typeURL, name) }
	}
	return s.next, change, errors.Join(s.edit.errs...)
}

// step is the way from one catalog to the next.
type step struct {
	*edit
	// old is what next is compared with: empty if all is made afresh.
	old, next *Catalog
	// redirected is true if something else may stand behind a service's
	// address than before.
	redirected bool
	// narrowing is true if some client may have another assignment than before
	// although everybody's is the same.
	narrowing bool
	// moved is true if a port's destinations may have changed without its
	// service.
	moved bool
}

func (s *step) fixed(afresh bool) {
	if afresh {
		s.put(xds.TypeCluster, envoy.Ready, "", envoy.ReadyCluster())
		s.put(xds.TypeCluster, envoy.InboundCluster, "", envoy.Inbound())
		s.put(xds.TypeCluster, envoy.InboundTLSCluster, "", envoy.InboundTLS())
		s.put(xds.TypeListener, envoy.Ready, "", envoy.ReadyListener())
		s.put(xds.TypeListener, envoy.Outbound, "", envoy.OutboundListener(envoy.OutboundPorts{}))
		s.put(xds.TypeRoutes, envoy.Outbound, "", envoy.OutboundRoutes())
		s.put(xds.TypeVirtualHost, envoy.PlaceholderHost, "", envoy.EmptyHost())
	}
	if afresh || s.old.rootsPEM != s.next.rootsPEM {
		s.put(xds.TypeSecret, envoy.RootsSecret, "Secret heddle-ca-key", envoy.Roots([]byte(s.next.rootsPEM)))
	}
}

func (s *step) services() {
	old, now := s.old.snapshot, s.next.snapshot
	touched := map[mesh.PortKey]struct{}{}
	s.next.sharing = s.old.sharing
	if !sameMap(old.Services, now.Services) {
		s.next.sharing = sharingOf(now.Services)
	}
	for key := range differing(old.Services, now.Services) {
		for _, service := range []*mesh.Service{old.Services[key], now.Services[key]} {
			if service == nil {
				continue
			}
			for _, port := range service.Ports {
				touched[port.Key] = struct{}{}
			}
		}
	}
	for key := range differing(old.Endpoints, now.Endpoints) {
		touched[key] = struct{}{}
		for _, root := range s.next.sharing[key] {
			touched[root] = struct{}{}
		}
		s.redirected = s.redirected || !slices.Equal(identities(old, key), identities(now, key))
		if port := portOf(now, key); port != nil && port.Headless && port.Split() {
			s.moved = true
		}
	}
	for key := range touched {
		s.port(key)
	}
	s.addresses()
}

// port makes what a service port has by its name.
func (s *step) port(key mesh.PortKey) {
	now := s.next.snapshot
	assignment, split, cluster := envoy.Assignment(key), envoy.SplitAssignment(key), envoy.HTTPCluster(key)
	port := portOf(now, key)
	if port == nil {
		s.drop(xds.TypeEndpoints, assignment)
		s.drop(xds.TypeEndpoints, split)
		s.drop(xds.TypeCluster, cluster)
		return
	}
	origin := "Service " + key.Service.String()
	s.put(xds.TypeEndpoints, assignment, origin, endpoints.Assignment(key, now.Endpoints[key]))
	if port.Route != nil {
		s.put(xds.TypeEndpoints, split, port.Route.Origin, endpoints.Split(port, now.Endpoints))
	} else {
		s.drop(xds.TypeEndpoints, split)
	}
	if port.Protocol == mesh.ProtocolTCP {
		s.drop(xds.TypeCluster, cluster)
		return
	}
	s.put(xds.TypeCluster, cluster, origin, envoy.PortCluster(cluster, true, key, identities(now, key), now.Settings.TrustDomain))
}

// addresses makes what service ports have by their addresses.
func (s *step) addresses() {
	services := s.next.snapshot.Services
	s.next.addresses, s.next.outbound = s.old.addresses, s.old.outbound
	if sameMap(s.old.snapshot.Services, services) && !s.moved {
		return
	}
	s.next.addresses = addressesOf(s.next.snapshot)
	for dst := range differing(s.old.addresses, s.next.addresses) {
		s.redirected = true
		s.host(dst)
	}
	s.next.outbound = outboundPorts(services, s.next.addresses)
	if !slices.Equal(s.next.outbound.TCP, s.old.outbound.TCP) || !slices.Equal(s.next.outbound.HTTP, s.old.outbound.HTTP) {
		s.put(xds.TypeListener, envoy.Outbound, "", envoy.OutboundListener(s.next.outbound))
	}
}

func (s *step) host(dst netip.AddrPort) {
	name, port := envoy.VirtualHost(dst), s.next.addresses[dst]
	if port == nil || port.Protocol == mesh.ProtocolTCP {
		s.drop(xds.TypeVirtualHost, name)
		return
	}
	s.put(xds.TypeVirtualHost, name, originOf(port), envoy.ServiceHost(dst, port))
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

// mixed finds the assignments that are narrowed by who calls.
func (s *step) mixed() {
	old, now := s.old.snapshot, s.next.snapshot
	s.next.mixed = s.old.mixed
	if !sameMap(old.Endpoints, now.Endpoints) || !sameMap(old.Services, now.Services) {
		s.next.mixed = mixedOf(s.next, s.old.mixed)
	}
	same := maps.Equal(s.next.mixed, s.old.mixed) &&
		(len(s.next.mixed) == 0 || sameMap(old.Policies, now.Policies) && maps.Equal(old.NamespaceAccess, now.NamespaceAccess))
	s.narrowing = !same
}

func (s *step) workloads() {
	old, now := s.old.snapshot, s.next.snapshot
	if sameMap(old.Workloads, now.Workloads) && sameMap(old.Policies, now.Policies) &&
		maps.Equal(old.NamespaceAccess, now.NamespaceAccess) {
		return
	}
	held, kept := map[mesh.Identity]bool{}, map[mesh.Identity]bool{}
	for key, workload := range old.Workloads {
		held[workload.Identity] = true
		if now.Workloads[key] == nil {
			s.drop(xds.TypeListener, envoy.InboundListener(key))
			s.drop(xds.TypeRoutes, envoy.PlaintextRoutes(key))
		}
	}
	for key, workload := range now.Workloads {
		id := workload.Identity
		policy, same := policyOf(now, id), samePolicy(old, now, id)
		if !kept[id] && (!same || !held[id]) {
			s.put(xds.TypeRoutes, envoy.InboundRoutes(id), "TrafficTargets for ServiceAccount "+id.Namespace+"/"+id.ServiceAccount,
				envoy.IdentityRoutes(policy, now.Settings.TrustDomain))
		}
		kept[id] = true
		if same && workload == old.Workloads[key] {
			continue
		}
		origin := fmt.Sprintf("%s %s/%s", key.Kind, key.Namespace, key.Name)
		s.put(xds.TypeListener, envoy.InboundListener(key), origin, envoy.WorkloadListener(workload, policy, now.Settings.TrustDomain))
		s.put(xds.TypeRoutes, envoy.PlaintextRoutes(key), origin, envoy.PlaintextAccess(workload, policy))
	}
	for id := range held {
		if !kept[id] {
			s.drop(xds.TypeRoutes, envoy.InboundRoutes(id))
		}
	}
}

// newcomers are the pods whose workload is another than before. A pod that is
// gone is not told to forget: its proxy serves for as long as it lives.
func newcomers(old, now map[mesh.PodKey]*mesh.Pod) []xds.PodKey {
	var out []xds.PodKey
	for key := range differing(old, now) {
		before, pod := old[key], now[key]
		if pod != nil && pod.Meshed && (before == nil || !before.Meshed || before.Workload != pod.Workload || before.UID != pod.UID) {
			out = append(out, xds.PodKey{Namespace: key.Namespace, Name: key.Name})
		}
	}
	slices.SortFunc(out, func(a, b xds.PodKey) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func portOf(snapshot *mesh.Snapshot, key mesh.PortKey) *mesh.Port {
	if service := snapshot.Services[key.Service]; service != nil {
		for _, port := range service.Ports {
			if port.Key == key {
				return port
			}
		}
	}
	return nil
}

func identities(snapshot *mesh.Snapshot, key mesh.PortKey) []mesh.Identity {
	if set := snapshot.Endpoints[key]; set != nil {
		return set.Identities
	}
	return nil
}

// addressesOf finds the port behind each address. An address that two
// services claim is the first one's, by name, and its lowest port's.
func addressesOf(snapshot *mesh.Snapshot) map[netip.AddrPort]*mesh.Port {
	out := make(map[netip.AddrPort]*mesh.Port, len(snapshot.Services))
	for _, service := range snapshot.Services {
		for _, port := range service.Ports {
			for _, dst := range snapshot.Destinations(service, port) {
				if other := out[dst]; other == nil || service.Key.Compare(other.Key.Service) < 0 {
					out[dst] = port
				}
			}
		}
	}
	return out
}

// sharingOf finds the ports whose connections each port has a share of.
func sharingOf(services map[mesh.ServiceKey]*mesh.Service) map[mesh.PortKey][]mesh.PortKey {
	out := map[mesh.PortKey][]mesh.PortKey{}
	for _, service := range services {
		for _, port := range service.Ports {
			if port.Route == nil {
				continue
			}
			for _, share := range port.Route.Shares {
				out[share.Backend] = append(out[share.Backend], port.Key)
			}
		}
	}
	return out
}

// outboundPorts finds the numbers that may not be inspected and who else uses
// them.
func outboundPorts(services map[mesh.ServiceKey]*mesh.Service, addresses map[netip.AddrPort]*mesh.Port) envoy.OutboundPorts {
	tcp := map[uint16]bool{}
	for _, service := range services {
		for _, port := range service.Ports {
			if port.Protocol == mesh.ProtocolTCP {
				tcp[port.Number] = true
			}
		}
	}
	for dst, port := range addresses {
		// The endpoints of a headless root may be at another number.
		if port.Protocol == mesh.ProtocolTCP {
			tcp[dst.Port()] = true
		}
	}
	out := envoy.OutboundPorts{TCP: slices.Sorted(maps.Keys(tcp))}
	for dst, port := range addresses {
		if port.Protocol == mesh.ProtocolHTTP && tcp[dst.Port()] {
			out.HTTP = append(out.HTTP, dst)
		}
	}
	slices.SortFunc(out.HTTP, netip.AddrPort.Compare)
	return out
}

func policyOf(snapshot *mesh.Snapshot, id mesh.Identity) *mesh.Policy {
	if policy := snapshot.Policies[id]; policy != nil {
		return policy
	}
	return &mesh.Policy{Destination: id, Closed: snapshot.DefaultPolicy(id.Namespace)}
}

func samePolicy(old, now *mesh.Snapshot, id mesh.Identity) bool {
	policy := now.Policies[id]
	return policy == old.Policies[id] && (policy != nil || old.DefaultPolicy(id.Namespace) == now.DefaultPolicy(id.Namespace))
}

// differing yields the keys whose values are not one and the same.
func differing[K comparable, V any](old, now map[K]*V) iter.Seq[K] {
	return func(yield func(K) bool) {
		if sameMap(old, now) {
			return
		}
		for key, value := range now {
			if old[key] != value && !yield(key) {
				return
			}
		}
		for key := range old {
			if _, ok := now[key]; !ok && !yield(key) {
				return
			}
		}
	}
}

func sameMap[K comparable, V any](a, b map[K]V) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}

func differ[K comparable, V any](old, now map[K]*V) bool {
	for range differing(old, now) {
		return true
	}
	return false
}
