package catalog

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/endpoints"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// mixed are the endpoints of one assignment where they are not all of one
// identity, so that a caller may be allowed to call some and not others. Such an
// assignment is narrowed to what its caller may call; all callers who may call
// the same share one. It is shared by the catalogs in which nothing of it
// differs.
type mixed struct {
	port *mesh.Port
	// split is true for what the port's route shares connections among.
	split bool
	sets  map[mesh.PortKey]*mesh.EndpointSet
	kinds []kind

	mu sync.Mutex
	// made are by the kinds that are called; nil stands for what everybody has.
	made map[string]*xds.Resource
}

// kind is what endpoints with a sidecar have in common that admit alike.
type kind struct {
	identity mesh.Identity
	port     uint16
}

// mix finds whether the assignments of a port are of one identity. Nothing is
// made of it until a client asks; port is nil if there is none.
func (s *step) mix(key mesh.PortKey, port *mesh.Port) {
	now := s.next.snapshot
	var own, split *mixed
	if port != nil && isMixed(now.Endpoints.Get(key)) {
		own = &mixed{port: port, sets: map[mesh.PortKey]*mesh.EndpointSet{key: now.Endpoints.Get(key)}}
	}
	if port != nil && port.Route != nil {
		if sets := setsOf(now, port.Route); slices.ContainsFunc(slices.Collect(maps.Values(sets)), isMixed) {
			split = &mixed{port: port, split: true, sets: sets}
		}
	}
	s.setMixed(envoy.Assignment(key), own)
	s.setMixed(envoy.SplitAssignment(key), split)
}

// setMixed keeps what is there if nothing differs.
func (s *step) setMixed(name string, now *mixed) {
	before := s.next.mixed.Get(name)
	if before == nil && now == nil || before != nil && now != nil && before.equal(now) {
		return
	}
	s.narrowed.add(name)
	if before != nil {
		for _, k := range before.kinds {
			s.next.callees.remove(k.identity, name)
		}
	}
	if now == nil {
		s.next.mixed = s.next.mixed.Without(name)
		return
	}
	now.kinds = kindsOf(now.sets)
	for _, k := range now.kinds {
		s.next.callees.add(k.identity, name)
	}
	s.next.mixed = s.next.mixed.With(name, now)
}

// equal is true if the same assignments are made of both. What is not split does
// not depend on the port's route.
func (m *mixed) equal(o *mixed) bool {
	return m.split == o.split && (m.port == o.port || !m.split && m.port.Key == o.port.Key) && maps.Equal(m.sets, o.sets)
}

func isMixed(set *mesh.EndpointSet) bool {
	return set != nil && (len(set.Identities) > 1 || len(set.Identities) == 1 && slices.ContainsFunc(set.Endpoints, isPlain))
}

func isPlain(e mesh.Endpoint) bool { return !e.Meshed }

func kindsOf(sets map[mesh.PortKey]*mesh.EndpointSet) []kind {
	seen := map[kind]struct{}{}
	for _, set := range sets {
		for _, e := range set.Endpoints {
			if e.Meshed {
				seen[kind{e.Identity, e.Address.Port()}] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b kind) int {
		return cmp.Or(a.identity.Compare(b.identity), cmp.Compare(a.port, b.port))
	})
}

// narrowed returns the assignment without the endpoints that the client may not
// call at all, nil if there are none such, or no others: then the answer is
// the callee's, which says why.
func (c *Catalog) narrowed(client xds.Client, name string) *xds.Resource {
	m := c.mixed.Get(name)
	if m == nil {
		return nil
	}
	caller := mesh.Identity{Namespace: client.Namespace, ServiceAccount: client.ServiceAccount}
	callable := make(map[kind]bool, len(m.kinds))
	called := make([]byte, len(m.kinds))
	for i, k := range m.kinds {
		if policyOf(c.snapshot, k.identity).Admits(caller, k.port) {
			callable[k], called[i] = true, 1
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	made, ok := m.made[string(called)]
	if !ok {
		made = m.narrow(name, callable)
		if m.made == nil {
			m.made = map[string]*xds.Resource{}
		}
		m.made[string(called)] = made
	}
	return made
}

func (m *mixed) narrow(name string, callable map[kind]bool) *xds.Resource {
	sets, fewer := map[mesh.PortKey]*mesh.EndpointSet{}, false
	for key, set := range m.sets {
		sets[key] = set
		kept := slices.DeleteFunc(slices.Clone(set.Endpoints), func(e mesh.Endpoint) bool {
			return e.Meshed && !callable[kind{e.Identity, e.Address.Port()}]
		})
		if len(kept) > 0 && len(kept) < len(set.Endpoints) {
			sets[key], fewer = &mesh.EndpointSet{Key: key, Endpoints: kept}, true
		}
	}
	if !fewer {
		return nil
	}
	var assignment *endpointv3.ClusterLoadAssignment
	if m.split {
		assignment = endpoints.Split(m.port, sets)
	} else {
		assignment = endpoints.Assignment(m.port.Key, sets[m.port.Key])
	}
	resource, err := xds.NewResource(name, "Service "+m.port.Key.Service.String(), assignment)
	if err != nil {
		return nil
	}
	return resource
}
