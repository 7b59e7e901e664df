package xds

import (
	"slices"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// Types in the order in which they are sent: what is referred to before what
// refers to it.
const (
	typePrefix      = "type.googleapis.com/"
	typeCluster     = typePrefix + "envoy.config.cluster.v3.Cluster"
	typeEndpoints   = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	typeSecret      = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
	typeListener    = typePrefix + "envoy.config.listener.v3.Listener"
	typeRoutes      = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	typeVirtualHost = typePrefix + "envoy.config.route.v3.VirtualHost"
)

var sendOrder = []string{typeCluster, typeEndpoints, typeSecret, typeListener, typeRoutes, typeVirtualHost}

var shortNames = map[string]string{
	typeCluster: "CDS", typeEndpoints: "EDS", typeSecret: "SDS",
	typeListener: "LDS", typeRoutes: "RDS", typeVirtualHost: "VHDS",
}

// subscription is one stream's dealings with one type. Only the stream's own
// goroutine touches it, except indexed, which the server's lock guards.
type subscription struct {
	wildcard bool
	// names are those asked for by name.
	names map[string]struct{}
	// indexed mirrors names in the server's index.
	indexed map[string]struct{}
	// sent holds the version last sent, acked the one last acknowledged.
	sent, acked map[string]string
	// force are names that must be answered even if nothing differs.
	force map[string]struct{}
	// outstanding are responses that await an answer, by nonce.
	outstanding map[string][]*Resource
	rejected    map[string]Rejection
}

func newSubscription() *subscription {
	return &subscription{
		names: map[string]struct{}{}, indexed: map[string]struct{}{},
		sent: map[string]string{}, acked: map[string]string{},
		force: map[string]struct{}{}, outstanding: map[string][]*Resource{}, rejected: map[string]Rejection{},
	}
}

// wants is true if the client has asked for the name or for everything.
func (s *subscription) wants(name string) bool {
	if s.wildcard {
		return true
	}
	_, ok := s.names[name]
	return ok
}

// update takes in what a request says about names. It returns those added
// and removed.
func (s *subscription) update(request *discoveryv3.DeltaDiscoveryRequest, first bool) (added, removed []string) {
	for name, version := range request.GetInitialResourceVersions() {
		s.sent[name], s.acked[name] = version, version
	}
	for _, name := range request.GetResourceNamesSubscribe() {
		if name == "*" {
			s.wildcard = true
			continue
		}
		s.names[name] = struct{}{}
		if _, held := request.GetInitialResourceVersions()[name]; !held {
			s.force[name] = struct{}{}
		}
		added = append(added, name)
	}
	for _, name := range request.GetResourceNamesUnsubscribe() {
		if name == "*" {
			s.wildcard = false
			continue
		}
		delete(s.names, name)
		delete(s.force, name)
		removed = append(removed, name)
		if !s.wildcard {
			delete(s.sent, name)
			delete(s.acked, name)
			delete(s.rejected, name)
		}
	}
	// A first request without names means everything, for the types that
	// have such a thing (the delta protocol's legacy wildcard; VHDS alike).
	if first && len(request.GetResourceNamesSubscribe()) == 0 {
		switch request.GetTypeUrl() {
		case typeListener, typeCluster, typeVirtualHost:
			s.wildcard = true
		}
	}
	return added, removed
}

// answer takes in an acknowledgement or refusal and returns the rejections.
// Envoy applies the good resources of a refused response and names the bad;
// if it names none, all are taken for bad.
func (s *subscription) answer(request *discoveryv3.DeltaDiscoveryRequest, now time.Time) []Rejection {
	resources, ok := s.outstanding[request.GetResponseNonce()]
	if !ok {
		return nil
	}
	delete(s.outstanding, request.GetResponseNonce())
	message := request.GetErrorDetail().GetMessage()
	bad := func(*Resource) bool { return false }
	if request.GetErrorDetail() != nil {
		named := slices.ContainsFunc(resources, func(r *Resource) bool { return strings.Contains(message, r.Name) })
		bad = func(r *Resource) bool { return !named || strings.Contains(message, r.Name) }
	}
	var rejections []Rejection
	for _, r := range resources {
		if !bad(r) {
			s.acked[r.Name] = r.Version
			delete(s.rejected, r.Name)
			continue
		}
		rejection := Rejection{
			Type: shortNames[request.GetTypeUrl()], Name: r.Name, Version: r.Version,
			Origin: r.Origin, Message: message, Since: now,
		}
		s.rejected[r.Name] = rejection
		rejections = append(rejections, rejection)
	}
	return rejections
}
