package catalog

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/endpoints"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Catalog is the immutable set of resources of one snapshot. It implements
// xds.Snapshot.
type Catalog struct {
	snapshot *mesh.Snapshot
	rootsPEM string
	byType   map[string]map[string]*xds.Resource
	// hosts are the names of all virtual hosts, ordered.
	hosts []string
	// addresses finds the service port behind a destination.
	addresses map[netip.AddrPort]*mesh.Port
	// ports is what the outbound listener was made from.
	ports envoy.OutboundPorts
	// asked remembers on-demand clusters that were made, by name.
	asked *asked
}

var _ xds.Snapshot = (*Catalog)(nil)

type asked struct {
	mu   sync.Mutex
	made map[string]*xds.Resource
	// names is shared by all catalogs in a line: what any of them was asked.
	names *sync.Map
}

// Next returns the catalog of the snapshot and what differs from the catalog
// before, which may be nil. The error names resources that could not be made;
// the catalog then lacks them.
func Next(before *Catalog, snapshot *mesh.Snapshot, rootsPEM []byte) (*Catalog, xds.Change, error) {
	if before == nil {
		before = &Catalog{snapshot: &mesh.Snapshot{}, asked: &asked{names: &sync.Map{}}}
	}
	r := &renderer{
		before: before,
		next: &Catalog{
			snapshot: snapshot, rootsPEM: string(rootsPEM),
			byType:    map[string]map[string]*xds.Resource{},
			addresses: make(map[netip.AddrPort]*mesh.Port, len(snapshot.Services)),
			asked:     &asked{made: map[string]*xds.Resource{}, names: before.asked.names},
		},
		change: xds.Change{Names: map[string][]string{}},
		// What holds for the whole mesh is in every resource.
		all: before.snapshot.Settings != snapshot.Settings,
	}
	r.fixed()
	r.services()
	r.workloads()
	r.finish()
	r.onDemand()
	r.pods()
	return r.next, r.change, r.err
}

// Resource implements xds.Snapshot.
func (c *Catalog) Resource(client xds.Client, typeURL, name string) *xds.Resource {
	switch typeURL {
	case xds.TypeListener, xds.TypeRoutes:
		if !c.sees(client, typeURL, name) {
			return nil
		}
	case xds.TypeCluster:
		if _, _, ok := envoy.ParseDestination(name); ok {
			return c.destination(name)
		}
	}
	return c.byType[typeURL][name]
}

// Wildcard implements xds.Snapshot.
func (c *Catalog) Wildcard(client xds.Client, typeURL string) []string {
	switch typeURL {
	case xds.TypeVirtualHost:
		return c.hosts
	case xds.TypeListener:
		// Until its pod is known a proxy can't be ready.
		if workload := c.workload(client); workload != nil {
			return []string{envoy.Outbound, envoy.InboundListener(workload.Key), envoy.Ready}
		}
		return []string{envoy.Outbound}
	}
	return nil
}

// sees is true for what is every proxy's, and for what is this workload's.
func (c *Catalog) sees(client xds.Client, typeURL, name string) bool {
	if name == envoy.Outbound || name == envoy.Ready {
		return true
	}
	workload := c.workload(client)
	if workload == nil {
		return false
	}
	if typeURL == xds.TypeListener {
		return name == envoy.InboundListener(workload.Key)
	}
	return name == envoy.InboundRoutes(workload.Identity) || name == envoy.PlaintextRoutes(workload.Key)
}

func (c *Catalog) workload(client xds.Client) *mesh.Workload {
	pod := c.snapshot.Pods[mesh.PodKey{Namespace: client.Namespace, Name: client.Pod}]
	if pod == nil || !pod.Meshed || pod.UID != client.PodUID {
		return nil
	}
	return c.snapshot.Workloads[pod.Workload]
}

// destination returns the cluster for an original destination, made once.
func (c *Catalog) destination(name string) *xds.Resource {
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	if resource, ok := c.asked.made[name]; ok {
		return resource
	}
	resource := c.makeDestination(name)
	c.asked.made[name] = resource
	c.asked.names.Store(name, true)
	return resource
}

func (c *Catalog) makeDestination(name string) *xds.Resource {
	scheme, addr, ok := envoy.ParseDestination(name)
	if !ok {
		return nil
	}
	http := scheme == envoy.SchemeDirect
	trustDomain := c.snapshot.Settings.TrustDomain
	var cluster *clusterv3.Cluster
	origin := ""
	switch port := c.addresses[addr]; {
	case port != nil:
		cluster = envoy.PortCluster(name, http, port.Key, c.identities(port.Key), trustDomain)
		origin = "Service " + port.Key.Service.String()
	default:
		pod := c.snapshot.PodsByIP[addr.Addr()]
		switch {
		case pod != nil && pod.Meshed:
			cluster = envoy.PodCluster(name, http, addr, pod.Identity, trustDomain)
			origin = "Pod " + pod.Key.Namespace + "/" + pod.Key.Name
		case pod != nil || !c.snapshot.Settings.EgressDenied:
			cluster = envoy.PassthroughCluster(name, http)
		default:
			return nil
		}
	}
	resource, err := xds.NewResource(name, origin, cluster)
	if err != nil {
		return nil
	}
	return resource
}

func (c *Catalog) identities(key mesh.PortKey) []mesh.Identity {
	if set := c.snapshot.Endpoints[key]; set != nil {
		return set.Identities
	}
	return nil
}

type renderer struct {
	before, next *Catalog
	change       xds.Change
	all          bool
	err          error
}

// keep takes the resource over from the catalog before.
func (r *renderer) keep(typeURL, name string) bool {
	if r.all {
		return false
	}
	resource, ok := r.before.byType[typeURL][name]
	if ok {
		r.put(typeURL, resource)
	}
	return ok
}

func (r *renderer) put(typeURL string, resource *xds.Resource) {
	of := r.next.byType[typeURL]
	if of == nil {
		of = make(map[string]*xds.Resource, len(r.before.byType[typeURL])+1)
		r.next.byType[typeURL] = of
	}
	of[resource.Name] = resource
}

// make marshals the message; if the bytes are those of before, the resource
// is.
func (r *renderer) make(typeURL, name, origin string, m proto.Message) {
	resource, err := xds.NewResource(name, origin, m)
	if err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("render: %w", err)
		}
		return
	}
	if old := r.before.byType[typeURL][name]; old != nil && old.Version == resource.Version {
		resource = old
	}
	r.put(typeURL, resource)
}

func (r *renderer) fixed() {
	if !r.keep(xds.TypeCluster, envoy.Ready) {
		r.make(xds.TypeCluster, envoy.Ready, "", envoy.ReadyCluster())
		r.make(xds.TypeCluster, envoy.InboundCluster, "", envoy.Inbound())
		r.make(xds.TypeListener, envoy.Ready, "", envoy.ReadyListener())
		r.make(xds.TypeRoutes, envoy.Outbound, "", envoy.OutboundRoutes())
		r.make(xds.TypeVirtualHost, envoy.PlaceholderHost, "", envoy.EmptyHost())
	} else {
		r.keep(xds.TypeCluster, envoy.InboundCluster)
		r.keep(xds.TypeListener, envoy.Ready)
		r.keep(xds.TypeRoutes, envoy.Outbound)
		r.keep(xds.TypeVirtualHost, envoy.PlaceholderHost)
	}
	if r.before.rootsPEM != r.next.rootsPEM || !r.keep(xds.TypeSecret, envoy.RootsSecret) {
		r.make(xds.TypeSecret, envoy.RootsSecret, "Secret heddle-ca-key", envoy.Roots([]byte(r.next.rootsPEM)))
	}
}

func (r *renderer) services() {
	now, old := r.next.snapshot, r.before.snapshot
	for key, service := range now.Services {
		same := service == old.Services[key]
		for _, port := range service.Ports {
			r.port(service, port, same)
		}
	}
	r.next.ports = outboundPorts(now)
	same := slices.Equal(r.next.ports.TCP, r.before.ports.TCP) && slices.Equal(r.next.ports.HTTP, r.before.ports.HTTP)
	if !same || !r.keep(xds.TypeListener, envoy.Outbound) {
		r.make(xds.TypeListener, envoy.Outbound, "", envoy.OutboundListener(r.next.ports))
	}
}

func (r *renderer) port(service *mesh.Service, port *mesh.Port, same bool) {
	set, oldSet := r.next.snapshot.Endpoints[port.Key], r.before.snapshot.Endpoints[port.Key]
	origin := "Service " + service.Key.String()
	if !same || set != oldSet || !r.keep(xds.TypeEndpoints, envoy.Assignment(port.Key)) {
		r.make(xds.TypeEndpoints, envoy.Assignment(port.Key), origin, endpoints.Assignment(port.Key, set))
	}
	for _, addr := range service.Addresses {
		r.next.addresses[netip.AddrPortFrom(addr, port.Number)] = port
	}
	if port.Protocol == mesh.ProtocolTCP {
		return
	}
	name := envoy.HTTPCluster(port.Key)
	sameIDs := set == oldSet || (set != nil && oldSet != nil && slices.Equal(set.Identities, oldSet.Identities))
	if !same || !sameIDs || !r.keep(xds.TypeCluster, name) {
		r.make(xds.TypeCluster, name, origin, envoy.PortCluster(name, true, port.Key, r.next.identities(port.Key), r.next.snapshot.Settings.TrustDomain))
	}
	for _, addr := range service.Addresses {
		dst := netip.AddrPortFrom(addr, port.Number)
		if same && r.keep(xds.TypeVirtualHost, envoy.VirtualHost(dst)) {
			continue
		}
		if port.Route != nil {
			origin = port.Route.Origin
		}
		r.make(xds.TypeVirtualHost, envoy.VirtualHost(dst), origin, envoy.ServiceHost(dst, port))
	}
}

// outboundPorts finds the numbers that may not be inspected and who else uses
// them.
func outboundPorts(snapshot *mesh.Snapshot) envoy.OutboundPorts {
	tcp := map[uint16]bool{}
	for _, service := range snapshot.Services {
		for _, port := range service.Ports {
			if port.Protocol == mesh.ProtocolTCP {
				tcp[port.Number] = true
			}
		}
	}
	out := envoy.OutboundPorts{TCP: slices.Sorted(maps.Keys(tcp))}
	for _, service := range snapshot.Services {
		for _, port := range service.Ports {
			if port.Protocol == mesh.ProtocolHTTP && tcp[port.Number] {
				for _, addr := range service.Addresses {
					out.HTTP = append(out.HTTP, netip.AddrPortFrom(addr, port.Number))
				}
			}
		}
	}
	slices.SortFunc(out.HTTP, netip.AddrPort.Compare)
	return out
}

func (r *renderer) workloads() {
	now, old := r.next.snapshot, r.before.snapshot
	trustDomain := now.Settings.TrustDomain
	for key, workload := range now.Workloads {
		policy, oldPolicy := now.Policies[workload.Identity], old.Policies[workload.Identity]
		same := workload == old.Workloads[key] && policy == oldPolicy
		origin := fmt.Sprintf("%s %s/%s", key.Kind, key.Namespace, key.Name)
		if !same || !r.keep(xds.TypeListener, envoy.InboundListener(key)) {
			r.make(xds.TypeListener, envoy.InboundListener(key), origin, envoy.WorkloadListener(workload, policy, trustDomain))
		}
		if !same || !r.keep(xds.TypeRoutes, envoy.PlaintextRoutes(key)) {
			r.make(xds.TypeRoutes, envoy.PlaintextRoutes(key), origin, envoy.PlaintextAccess(workload, policy))
		}
		name := envoy.InboundRoutes(workload.Identity)
		if _, done := r.next.byType[xds.TypeRoutes][name]; !done && (policy != oldPolicy || !r.keep(xds.TypeRoutes, name)) {
			r.make(xds.TypeRoutes, name, "TrafficTargets for ServiceAccount "+workload.Identity.Namespace+"/"+workload.Identity.ServiceAccount,
				envoy.IdentityRoutes(policy, trustDomain))
		}
	}
}

// finish compares the two catalogs by pointer.
func (r *renderer) finish() {
	for _, typeURL := range []string{xds.TypeCluster, xds.TypeEndpoints, xds.TypeListener, xds.TypeRoutes, xds.TypeVirtualHost, xds.TypeSecret} {
		now, old := r.next.byType[typeURL], r.before.byType[typeURL]
		var names []string
		for name, resource := range now {
			if resource != old[name] {
				names = append(names, name)
			}
		}
		for name := range old {
			if _, ok := now[name]; !ok {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			r.change.Names[typeURL] = names
		}
	}
	r.next.hosts = slices.Sorted(maps.Keys(r.next.byType[xds.TypeVirtualHost]))
}

// onDemand makes again what was asked for, to find what differs. A name that
// the catalog before was not asked for itself counts as changed.
func (r *renderer) onDemand() {
	r.before.asked.mu.Lock()
	made := maps.Clone(r.before.asked.made)
	r.before.asked.mu.Unlock()
	r.next.asked.names.Range(func(key, _ any) bool {
		name, _ := key.(string)
		old, known := made[name]
		now := r.next.makeDestination(name)
		switch {
		case old != nil && now != nil && old.Version == now.Version:
			now = old
		case old != now || !known:
			r.change.Names[xds.TypeCluster] = append(r.change.Names[xds.TypeCluster], name)
		}
		r.next.asked.made[name] = now
		return true
	})
	slices.Sort(r.change.Names[xds.TypeCluster])
}

// pods names those whose workload is another than before.
func (r *renderer) pods() {
	now, old := r.next.snapshot.Pods, r.before.snapshot.Pods
	for key, pod := range now {
		before := old[key]
		if pod != before && (before == nil || before.Workload != pod.Workload || before.UID != pod.UID) && pod.Meshed {
			r.change.Pods = append(r.change.Pods, xds.PodKey{Namespace: key.Namespace, Name: key.Name})
		}
	}
}
