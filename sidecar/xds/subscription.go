package xds

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Type URLs of what the server delivers, in the order in which they are sent: what is referred to before what
// refers to it.
const (
	typePrefix      = "type.googleapis.com/"
	TypeCluster     = typePrefix + "envoy.config.cluster.v3.Cluster"
	TypeEndpoints   = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	TypeSecret      = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	TypeListener    = typePrefix + "envoy.config.listener.v3.Listener"
	TypeRoutes      = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	TypeVirtualHost = typePrefix + "envoy.config.route.v3.VirtualHost"
)

var sendOrder = []string{TypeCluster, TypeEndpoints, TypeSecret, TypeListener, TypeRoutes, TypeVirtualHost}

var shortNames = map[string]string{
	TypeCluster: "CDS", TypeEndpoints: "EDS", TypeSecret: "SDS",
	TypeListener: "LDS", TypeRoutes: "RDS", TypeVirtualHost: "VHDS",
}

// subscription is one stream's dealings with one type. Only the stream's own
// goroutine changes it. Others read entries and rejected under the stream's lock.
type subscription struct {
	wildcard bool
	// entries are the names that the proxy asks for, holds or waits to hear of. A
	// thousand proxies have as many as there are resources each: what an entry
	// takes is most of what the server takes.
	entries map[string]entry
	// holds and acked count the entries that are so.
	holds, acked int
	// outstanding are responses that await an answer, by nonce.
	outstanding map[string][]*Resource
	rejected    map[string]Rejection
}

// entry is what a stream has to do with one name; none is the zero value.
type entry struct {
	// sent is the version last sent of a resource that the proxy holds.
	sent string
	// named: the proxy asks for it by name.
	named bool
	// holds: it has been sent, and not removed since.
	holds bool
	// acked: the version last sent is acknowledged.
	acked bool
	// force: it must be answered even if nothing differs.
	force bool
}

func newSubscription() *subscription {
	return &subscription{
		entries: map[string]entry{}, outstanding: map[string][]*Resource{}, rejected: map[string]Rejection{},
	}
}

// set replaces an entry. The name's bytes are kept instead of those that came
// before: a resource's own are everybody's.
func (s *subscription) set(name string, before, after entry) {
	count := func(total *int, was, is bool) {
		switch {
		case is && !was:
			*total++
		case was && !is:
			*total--
		}
	}
	count(&s.holds, before.holds, after.holds)
	count(&s.acked, before.acked, after.acked)
	if after == (entry{}) {
		delete(s.entries, name)
		return
	}
	s.entries[name] = after
}

// send notes that the version has been sent.
func (s *subscription) send(name, version string) {
	before := s.entries[name]
	s.set(name, before, entry{sent: version, named: before.named, holds: true})
	delete(s.rejected, name)
}

// acknowledge notes that the proxy has the version of what it holds, if it is the one
// last sent.
func (s *subscription) acknowledge(name string, before entry, version string) {
	if before.sent != version {
		return
	}
	after := before
	after.acked = true
	s.set(name, before, after)
	delete(s.rejected, name)
}

// insist has the name answered even if nothing differs.
func (s *subscription) insist(name string) {
	before := s.entries[name]
	after := before
	after.force = true
	s.set(name, before, after)
}

// forget drops what is known of a resource that the proxy no longer holds.
func (s *subscription) forget(name string) {
	before := s.entries[name]
	s.set(name, before, entry{named: before.named})
	delete(s.rejected, name)
}

// room makes place for n names where there are none yet.
func (s *subscription) room(n int) {
	if len(s.entries) == 0 {
		s.entries = make(map[string]entry, n)
	}
}

// update takes in what a request says about names. It returns those to look
// at, and those no longer asked for by name.
func (s *subscription) update(request *discoveryv3.DeltaDiscoveryRequest, first bool) (added, removed []string) {
	initial := request.GetInitialResourceVersions()
	if !first {
		initial = nil // only a stream's first request for a type may carry it
	}
	s.room(max(len(request.GetResourceNamesSubscribe()), len(initial)))
	for name, version := range initial {
		s.send(name, version)
		s.acknowledge(name, s.entries[name], version)
	}
	for _, name := range request.GetResourceNamesSubscribe() {
		if name == "*" {
			s.wildcard = true
			continue
		}
		_, has := initial[name]
		before := s.entries[name]
		after := before
		after.named, after.force = true, before.force || !has
		s.set(name, before, after)
		added = append(added, name)
	}
	removed = s.unsubscribe(request.GetResourceNamesUnsubscribe())
	// A first request without names means everything, for the types that
	// have such a thing (the delta protocol's legacy wildcard; VHDS alike).
	if first && len(request.GetResourceNamesSubscribe()) == 0 {
		switch request.GetTypeUrl() {
		case TypeListener, TypeCluster, TypeVirtualHost:
			s.wildcard = true
		}
	}
	return added, removed
}

func (s *subscription) unsubscribe(names []string) (removed []string) {
	for _, name := range names {
		if name == "*" {
			s.wildcard = false
			for name, e := range s.entries {
				if e.holds && !e.named {
					s.set(name, e, entry{force: e.force})
					delete(s.rejected, name)
				}
			}
			continue
		}
		before := s.entries[name]
		if !before.named {
			continue
		}
		removed = append(removed, name)
		// Of everything the proxy has dropped it too and can't tell whether it is
		// among that; it must be told.
		s.set(name, before, entry{force: s.wildcard})
		delete(s.rejected, name)
	}
	return removed
}
