package catalog

import (
	"net/netip"
	"slices"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// target is what stands behind an original destination. Under one name, equal
// targets make equal clusters.
type target struct {
	kind targetKind
	// port is set for toPort and toSplit, pod for toPod.
	port mesh.PortKey
	pod  mesh.PodKey
	// peers are who may answer, in the trust domain.
	peers       []mesh.Identity
	trustDomain string
}

type targetKind int

const (
	// toNobody is a destination that is closed.
	toNobody targetKind = iota
	toPort
	// toSplit is a port whose connections are shared.
	toSplit
	toPod
	// toAnyone is a destination without a sidecar, or a port past it.
	toAnyone
)

func (t target) equal(o target) bool {
	return t.kind == o.kind && t.port == o.port && t.pod == o.pod &&
		t.trustDomain == o.trustDomain && slices.Equal(t.peers, o.peers)
}

func (c *Catalog) target(addr netip.AddrPort) target {
	port := c.claims.Get(addr).owner()
	switch {
	case port == nil, port.Route == nil && port.Headless:
		return c.address(addr)
	case port.Route == nil:
		return target{
			kind: toPort, port: port.Key,
			peers: identities(c.snapshot, port.Key), trustDomain: c.snapshot.Settings.TrustDomain,
		}
	}
	return target{
		kind: toSplit, port: port.Key,
		peers: sharers(c.snapshot, port.Route), trustDomain: c.snapshot.Settings.TrustDomain,
	}
}

// sharers are the identities of all that have a share of connections.
func sharers(snapshot *mesh.Snapshot, route *mesh.Route) []mesh.Identity {
	var out []mesh.Identity
	for _, share := range route.Shares {
		if share.Weight > 0 && !share.Missing {
			out = append(out, identities(snapshot, share.Backend)...)
		}
	}
	slices.SortFunc(out, mesh.Identity.Compare)
	return slices.Compact(out)
}

// address is the target of what is dialled at no service's address.
func (c *Catalog) address(addr netip.AddrPort) target {
	pod := c.snapshot.PodsByIP.Get(addr.Addr())
	switch {
	case pod != nil && pod.SidecarAt(addr.Port()):
		return target{
			kind: toPod, pod: pod.Key,
			peers: []mesh.Identity{pod.Identity}, trustDomain: c.snapshot.Settings.TrustDomain,
		}
	case pod != nil || !c.snapshot.Settings.EgressDenied:
		return target{kind: toAnyone}
	}
	return target{}
}

func (t target) cluster(name string, http bool, addr netip.AddrPort) (*clusterv3.Cluster, string) {
	switch t.kind {
	case toPort:
		return envoy.PortCluster(name, http, t.port, t.peers, t.trustDomain), "Service " + t.port.Service.String()
	case toSplit:
		return envoy.SplitCluster(name, http, t.port, t.peers, t.trustDomain), "Service " + t.port.Service.String()
	case toPod:
		return envoy.PodCluster(name, http, addr, t.peers[0], t.trustDomain), "Pod " + t.pod.Namespace + "/" + t.pod.Name
	case toAnyone:
		return envoy.PassthroughCluster(name, http), ""
	case toNobody:
	}
	return envoy.ClosedCluster(name, http), ""
}

// maxClusters bounds what is kept of clusters made on demand: the names are
// the proxies' to choose. One that is full is emptied.
const maxClusters = 8192

// clusters keeps what was made on demand, so that the proxies that ask for
// the same share one. Nothing depends on it but time: what it does not have is
// made again, to the same bytes.
type clusters struct {
	mu   sync.Mutex
	made map[string]madeCluster
}

type madeCluster struct {
	target   target
	resource *xds.Resource
}

func newClusters() *clusters { return &clusters{made: map[string]madeCluster{}} }

// get returns the named cluster of the target.
func (c *clusters) get(name string, scheme envoy.Scheme, addr netip.AddrPort, to target) *xds.Resource {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made, ok := c.made[name]; ok && made.target.equal(to) {
		return made.resource
	}
	cluster, origin := to.cluster(name, scheme == envoy.SchemeDirect, addr)
	resource, err := xds.NewResource(name, origin, cluster)
	if err != nil {
		return nil
	}
	if _, ok := c.made[name]; !ok && len(c.made) >= maxClusters {
		clear(c.made)
	}
	c.made[name] = madeCluster{target: to, resource: resource}
	return resource
}
