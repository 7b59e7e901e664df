package catalog

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Next returns the catalog of the snapshot and what differs from the catalog
// before, which may be nil. Its work is that of the difference between the two
// snapshots. The error names resources that could not be made; the catalog then
// lacks them.
func Next(before *Catalog, snapshot *mesh.Snapshot, rootsPEM []byte) (*Catalog, xds.Change, error) {
	if before == nil {
		before = &Catalog{snapshot: &mesh.Snapshot{}, hosts: hostsOf(table{}), clusters: newClusters()}
	}
	// What holds for the whole mesh is in every resource.
	afresh := len(before.tables) == 0 || before.snapshot.Settings != snapshot.Settings
	old := before
	if afresh {
		old = &Catalog{snapshot: &mesh.Snapshot{}}
	}
	s := &step{
		edit: newEdit(before.tables, afresh), old: old, groups: set[netip.Addr]{}, narrowed: set[string]{},
		next: &Catalog{
			snapshot: snapshot, rootsPEM: string(rootsPEM), hosts: before.hosts, clusters: before.clusters,
			claims: old.claims, numbers: old.numbers, outbound: old.outbound, sharing: old.sharing,
			mixed: old.mixed, callees: old.callees, residents: old.residents,
		},
	}
	s.fixed(afresh)
	s.ports()
	s.workloads()
	s.policies()

	names, came := s.edit.changed()
	s.next.tables = s.edit.tables()
	if came {
		s.next.hosts = hostsOf(s.next.tables[xds.TypeVirtualHost])
	}
	change := xds.Change{
		Names: names, Groups: s.groupsOf(), All: afresh, Pods: newcomers(before.snapshot.Pods, snapshot.Pods),
	}
	if len(s.narrowed) > 0 {
		for _, name := range names[xds.TypeEndpoints] {
			s.narrowed.add(name)
		}
		change.Names[xds.TypeEndpoints] = slices.Sorted(maps.Keys(s.narrowed))
	}
	return s.next, change, errors.Join(s.edit.errs...)
}

// step is the way from one catalog to the next.
type step struct {
	*edit
	// old is what next is compared with: empty if all is made afresh.
	old, next *Catalog
	// groups are the addresses that may lead elsewhere than before.
	groups set[netip.Addr]
	// narrowed are the assignments that some clients may have otherwise than
	// before although everybody's is the same.
	narrowed set[string]
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

// groupsOf returns the addresses behind which something else may be than
// before, as Group names them.
func (s *step) groupsOf() []string {
	s.groups.addAll(mesh.Changed(s.old.snapshot.PodsByIP, s.next.snapshot.PodsByIP))
	var out []string
	for addr := range s.groups {
		out = append(out, addr.String())
	}
	slices.Sort(out)
	return out
}

// Group tells of a name that proxies may ask for besides those in the tables
// which group of a change it belongs to; "" is none.
func Group(typeURL, name string) string {
	if typeURL == xds.TypeCluster {
		if _, addr, ok := envoy.ParseDestination(name); ok {
			return addr.Addr().String()
		}
	}
	return ""
}

// newcomers are the pods whose workload is another than before. A pod that is
// gone is not told to forget: its proxy serves for as long as it lives.
func newcomers(old, now mesh.Table[mesh.PodKey, *mesh.Pod]) []xds.PodKey {
	var keys []mesh.PodKey
	for key := range mesh.Changed(old, now) {
		before, pod := old.Get(key), now.Get(key)
		if pod != nil && pod.Meshed && (before == nil || !before.Meshed || before.Workload != pod.Workload || before.UID != pod.UID) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, mesh.PodKey.Compare)
	var out []xds.PodKey
	for _, key := range keys {
		out = append(out, xds.PodKey{Namespace: key.Namespace, Name: key.Name})
	}
	return out
}
