package catalog

import (
	"iter"
	"net/netip"
	"slices"
	"sync"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Catalog is the immutable set of resources of one snapshot. It implements
// xds.Snapshot.
type Catalog struct {
	snapshot *mesh.Snapshot
	rootsPEM string
	// tables are by type URL.
	tables map[string]table
	// hosts lists the names of all virtual hosts, ordered.
	hosts func() []string
	// claims finds the service ports behind a destination.
	claims mesh.Table[netip.AddrPort, *claim]
	// numbers are what ports of destinations are used for.
	numbers mesh.Table[uint16, number]
	// outbound is what the outbound listener was made from.
	outbound envoy.OutboundPorts
	// sharing finds the ports whose connections a port has a share of.
	sharing relation[mesh.PortKey, mesh.PortKey]
	// mixed are the assignments that not every client has alike, by name, and
	// callees those that an identity has endpoints in.
	mixed   mesh.Table[string, *mixed]
	callees relation[mesh.Identity, string]
	// residents are the workloads of an identity.
	residents relation[mesh.Identity, mesh.WorkloadKey]
	// clusters is shared by all catalogs of a line.
	clusters *clusters
}

var _ xds.Snapshot = (*Catalog)(nil)

// Resource implements xds.Snapshot.
func (c *Catalog) Resource(client xds.Client, typeURL, name string) *xds.Resource {
	switch typeURL {
	case xds.TypeListener, xds.TypeRoutes:
		if !c.sees(client, typeURL, name) {
			return nil
		}
	case xds.TypeCluster:
		if scheme, addr, ok := envoy.ParseDestination(name); ok {
			return c.clusters.get(name, scheme, addr, c.target(addr))
		}
	case xds.TypeEndpoints:
		if narrowed := c.narrowed(client, name); narrowed != nil {
			return narrowed
		}
	}
	return c.tables[typeURL].Get(name)
}

// Wildcard implements xds.Snapshot.
func (c *Catalog) Wildcard(client xds.Client, typeURL string) []string {
	switch typeURL {
	case xds.TypeVirtualHost:
		return c.hosts()
	case xds.TypeListener:
		// Until its pod is known a proxy can't be ready.
		if workload := c.workload(client); workload != nil {
			return []string{envoy.Outbound, envoy.InboundListener(workload.Key), envoy.Ready}
		}
		return []string{envoy.Outbound}
	}
	return nil
}

// InWildcard implements xds.Snapshot.
func (c *Catalog) InWildcard(client xds.Client, typeURL, name string) bool {
	if typeURL == xds.TypeVirtualHost {
		return c.tables[typeURL].Get(name) != nil
	}
	return slices.Contains(c.Wildcard(client, typeURL), name)
}

// Lookup returns what everybody has that has the resource, nil if there is none.
func (c *Catalog) Lookup(typeURL, name string) *xds.Resource { return c.tables[typeURL].Get(name) }

// Residents are the workloads of the identity.
func (c *Catalog) Residents(id mesh.Identity) iter.Seq[mesh.WorkloadKey] { return c.residents.with(id) }

// hostsOf lists the virtual hosts when first asked.
func hostsOf(hosts table) func() []string {
	return sync.OnceValue(func() []string { return slices.Sorted(hosts.Keys()) })
}

// sees is true for what every proxy has of the outbound side, and for what is
// this workload's.
func (c *Catalog) sees(client xds.Client, typeURL, name string) bool {
	if name == envoy.Outbound {
		return true
	}
	workload := c.workload(client)
	if workload == nil {
		return false
	}
	if typeURL == xds.TypeListener {
		return name == envoy.InboundListener(workload.Key) || name == envoy.Ready
	}
	return name == envoy.InboundRoutes(workload.Identity) || name == envoy.PlaintextRoutes(workload.Key)
}

func (c *Catalog) workload(client xds.Client) *mesh.Workload {
	pod := c.snapshot.Pods.Get(mesh.PodKey{Namespace: client.Namespace, Name: client.Pod})
	if pod == nil || pod.UID != client.PodUID {
		return nil
	}
	return c.snapshot.Workloads.Get(pod.Workload)
}
