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
// goroutine changes it. Others read names, holds and rejected under the stream's
// lock.
type subscription struct {
	wildcard bool
	// names are those asked for by name.
	names map[string]struct{}
	// holds are what has been sent, acked is how many of them are acknowledged in
	// some version.
	holds map[string]held
	acked int
	// force are names that must be answered even if nothing differs.
	force map[string]struct{}
	// outstanding are responses that await an answer, by nonce.
	outstanding map[string][]*Resource
	rejected    map[string]Rejection
}

// held are the versions of one resource that were last sent, and last acknowledged:
// "" if none was.
type held struct{ sent, acked string }

func newSubscription() *subscription {
	return &subscription{
		names: map[string]struct{}{}, holds: map[string]held{},
		force: map[string]struct{}{}, outstanding: map[string][]*Resource{}, rejected: map[string]Rejection{},
	}
}

// send notes that the version has been sent.
func (s *subscription) send(name, version string) {
	h := s.holds[name]
	h.sent = version
	s.holds[name] = h
	delete(s.rejected, name)
}

// acknowledge notes that the proxy has the version.
func (s *subscription) acknowledge(name, version string) {
	h := s.holds[name]
	if h.acked == "" && version != "" {
		s.acked++
	}
	h.acked = version
	s.holds[name] = h
	delete(s.rejected, name)
}

// wants is true if the client has asked for the name or for everything.
func (s *subscription) wants(name string) bool {
	if s.wildcard {
		return true
	}
	_, ok := s.names[name]
	return ok
}

// forget drops what is known of a resource that the proxy no longer holds.
func (s *subscription) forget(name string) {
	if s.holds[name].acked != "" {
		s.acked--
	}
	delete(s.holds, name)
	delete(s.rejected, name)
}

// size is how many names the proxy makes the server remember.
func (s *subscription) size() int { return max(len(s.names), len(s.holds)) }

// update takes in what a request says about names. It returns those to look
// at, and those no longer asked for by name.
func (s *subscription) update(request *discoveryv3.DeltaDiscoveryRequest, first bool) (added, removed []string) {
	initial := request.GetInitialResourceVersions()
	if !first {
		initial = nil // only a stream's first request for a type may carry it
	}
	if asked := request.GetResourceNamesSubscribe(); len(s.names) == 0 && len(asked) > 1 {
		s.names, s.holds = make(map[string]struct{}, len(asked)), grown(s.holds, len(asked))
	}
	for name, version := range initial {
		s.send(name, version)
		s.acknowledge(name, version)
	}
	for _, name := range request.GetResourceNamesSubscribe() {
		if name == "*" {
			s.wildcard = true
			continue
		}
		s.names[name] = struct{}{}
		if _, ok := initial[name]; !ok {
			s.force[name] = struct{}{}
		}
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
			for name := range s.holds {
				if _, named := s.names[name]; !named {
					s.forget(name)
				}
			}
			continue
		}
		if _, ok := s.names[name]; !ok {
			continue
		}
		delete(s.names, name)
		delete(s.force, name)
		removed = append(removed, name)
		if s.wildcard {
			// The proxy has dropped it and can't tell whether it is among
			// everything; it must be told.
			s.force[name] = struct{}{}
		}
		s.forget(name)
	}
	return removed
}

// grown returns the map with room for n more, where it is empty.
func grown(holds map[string]held, n int) map[string]held {
	if len(holds) > 0 {
		return holds
	}
	return make(map[string]held, n)
}
