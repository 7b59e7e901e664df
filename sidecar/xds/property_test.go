package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"pgregory.net/rapid"
)

var (
	propertyTypes = []string{TypeCluster, TypeEndpoints, TypeListener, TypeRoutes, TypeVirtualHost}
	propertyNames = []string{"a", "a/b", "b", "b/80", "b/8080"}
)

// TestProxyEndsUpWithTheSnapshot lets a proxy and publications run through
// random histories. When all is quiet the proxy must hold what the snapshot
// says of what it asked for, except what it refuses.
func TestProxyEndsUpWithTheSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(untimed{t}, func(rt *rapid.T) {
			server := newTestServer(t, nil)
			h := newHistory(rt, server)
			defer func() { h.proxy.cancel(); synctest.Wait() }()
			rt.Repeat(map[string]func(*rapid.T){
				"publish":     h.publish,
				"subscribe":   h.subscribe,
				"unsubscribe": h.unsubscribe,
				"read":        h.read,
				"answer":      h.answer,
				"reconnect":   h.reconnect,
				"settle":      h.settle,
			})
			h.settle(rt)
			_ = h.proxy.close()
			if left := remains(server); left != 0 {
				rt.Fatalf("%d entries are left after the last stream", left)
			}
		})
	})
}

// history is a model of a proxy: what it asked for, holds and refused.
type history struct {
	server *Server
	world  world
	proxy  *proxy
	serial int
	// By type and name: the version held, those refused, what was asked for,
	// and what is asked for again and may come again.
	held, acked map[string]map[string]string
	refused     map[string]map[string]map[string]bool
	names       map[string]map[string]bool
	asked       map[string]map[string]bool
	// last is the version last sent on this stream, by type and name.
	last       map[string]string
	unanswered []*discoveryv3.DeltaDiscoveryResponse
}

func newHistory(rt *rapid.T, server *Server) *history {
	h := &history{
		server: server, world: world{}, refused: map[string]map[string]map[string]bool{},
		held: map[string]map[string]string{}, acked: map[string]map[string]string{}, names: map[string]map[string]bool{},
	}
	for _, typeURL := range propertyTypes {
		h.world[typeURL], h.held[typeURL], h.acked[typeURL] = map[string]string{}, map[string]string{}, map[string]string{}
		h.names[typeURL], h.refused[typeURL] = map[string]bool{}, map[string]map[string]bool{}
	}
	server.Publish(h.world, Change{})
	h.connect(rt)
	return h
}

func everything(typeURL string) bool { return typeURL == TypeListener || typeURL == TypeVirtualHost }

func (h *history) connect(rt *rapid.T) {
	h.proxy = connect(rt, h.server, 10000)
	h.asked, h.last, h.unanswered = map[string]map[string]bool{}, map[string]string{}, nil
	for _, typeURL := range propertyTypes {
		h.asked[typeURL] = map[string]bool{}
		request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: map[string]string{}}
		for name, version := range h.held[typeURL] {
			// Envoy leaves out what came in a response that it refused in
			// part. What it doesn't tell, no server can take back: the model
			// lets go of it.
			if h.acked[typeURL][name] == version {
				request.InitialResourceVersions[name], h.last[typeURL+name] = version, version
			} else {
				h.asked[typeURL][name] = true
				delete(h.held[typeURL], name)
			}
		}
		if !everything(typeURL) {
			request.ResourceNamesSubscribe = slices.Sorted(maps.Keys(h.names[typeURL]))
			if len(request.ResourceNamesSubscribe) == 0 {
				continue
			}
		}
		h.proxy.say(request)
	}
}

func (h *history) reconnect(rt *rapid.T) {
	_ = h.proxy.close()
	h.connect(rt)
}

func (h *history) publish(rt *rapid.T) {
	next, change := h.world.clone(), Change{Names: map[string][]string{}}
	for range rapid.IntRange(1, 4).Draw(rt, "changes") {
		typeURL, name := rapid.SampledFrom(propertyTypes).Draw(rt, "type"), rapid.SampledFrom(propertyNames).Draw(rt, "name")
		switch rapid.IntRange(0, 6).Draw(rt, "what") {
		case 0, 1:
			delete(next[typeURL], name)
		case 2:
			next[typeURL][name] = "bad"
		case 3:
			next[typeURL][name] = "again"
		default:
			h.serial++
			next[typeURL][name] = fmt.Sprint("good", h.serial)
		}
		if !everything(typeURL) && rapid.Bool().Draw(rt, "unlisted") {
			change.Groups = append(change.Groups, groupOf(typeURL, name))
		} else {
			change.Names[typeURL] = append(change.Names[typeURL], name)
		}
	}
	if change.All = rapid.IntRange(0, 9).Draw(rt, "all") == 0; change.All {
		change.Groups = nil
	}
	h.world = next
	h.server.Publish(next, change)
}

func (h *history) subscribe(rt *rapid.T) {
	h.settle(rt)
	typeURL, name := rapid.SampledFrom(propertyTypes).Draw(rt, "type"), rapid.SampledFrom(propertyNames).Draw(rt, "name")
	if everything(typeURL) {
		return
	}
	h.names[typeURL][name], h.asked[typeURL][name] = true, true
	h.proxy.subscribe(typeURL, name)
}

func (h *history) unsubscribe(rt *rapid.T) {
	h.settle(rt)
	typeURL, name := rapid.SampledFrom(propertyTypes).Draw(rt, "type"), rapid.SampledFrom(propertyNames).Draw(rt, "name")
	if everything(typeURL) || !h.names[typeURL][name] {
		return
	}
	delete(h.names[typeURL], name)
	delete(h.held[typeURL], name)
	delete(h.last, typeURL+name)
	delete(h.acked[typeURL], name)
	h.proxy.unsubscribe(typeURL, name)
}

// read applies what has come; answers may be given later.
func (h *history) read(rt *rapid.T) {
	for _, r := range h.proxy.hear() {
		good := !slices.ContainsFunc(r.GetResources(), func(resource *discoveryv3.Resource) bool {
			return h.bad(r.GetTypeUrl(), resource.GetName(), resource.GetVersion())
		})
		for _, resource := range r.GetResources() {
			typeURL, name, version := r.GetTypeUrl(), resource.GetName(), resource.GetVersion()
			if !everything(typeURL) && !h.names[typeURL][name] {
				rt.Fatalf("%s %s came unasked", shortNames[typeURL], name)
			}
			again := h.last[typeURL+name] == version || h.refused[typeURL][name][version]
			if again && !h.asked[typeURL][name] {
				rt.Fatalf("%s %s came again in version %s", shortNames[typeURL], name, version)
			}
			h.last[typeURL+name] = version
			delete(h.asked[typeURL], name)
			if h.bad(typeURL, name, version) {
				continue
			}
			h.held[typeURL][name] = version
			if good {
				h.acked[typeURL][name] = version
			}
		}
		for _, name := range r.GetRemovedResources() {
			delete(h.last, r.GetTypeUrl()+name)
			delete(h.held[r.GetTypeUrl()], name)
			delete(h.acked[r.GetTypeUrl()], name)
			delete(h.asked[r.GetTypeUrl()], name)
		}
		h.unanswered = append(h.unanswered, r)
	}
}

func (h *history) bad(typeURL, name, version string) bool {
	return made(typeURL, name, "bad").Version == version
}

// answer acknowledges or refuses the oldest response.
func (h *history) answer(rt *rapid.T) {
	h.read(rt)
	if len(h.unanswered) == 0 {
		return
	}
	r := h.unanswered[0]
	h.unanswered = h.unanswered[1:]
	var complaints []string
	for _, resource := range r.GetResources() {
		typeURL, name, version := r.GetTypeUrl(), resource.GetName(), resource.GetVersion()
		if !h.bad(typeURL, name, version) {
			continue
		}
		complaints = append(complaints, name+": it is bad")
		if h.refused[typeURL][name] == nil {
			h.refused[typeURL][name] = map[string]bool{}
		}
		h.refused[typeURL][name][version] = true
	}
	if len(complaints) > 0 {
		h.proxy.nack(r, "Error adding/updating: "+strings.Join(complaints, ", "))
		return
	}
	h.proxy.ack(r)
}

// settle answers all there is and compares.
func (h *history) settle(rt *rapid.T) {
	for h.read(rt); len(h.unanswered) > 0; h.read(rt) {
		h.answer(rt)
	}
	for _, typeURL := range propertyTypes {
		for _, name := range propertyNames {
			h.compare(rt, typeURL, name)
		}
	}
	recount(rt, h.server)
	status := h.server.Proxies()
	if len(status) != 1 || !status[0].Synced {
		rt.Fatalf("all is answered but the status says otherwise: %+v", status)
	}
}

func (h *history) compare(rt *rapid.T, typeURL, name string) {
	held, holds := h.held[typeURL][name]
	content, exists := h.world[typeURL][name]
	switch wanted := everything(typeURL) || h.names[typeURL][name]; {
	case !wanted && holds:
		rt.Fatalf("%s %s is held unasked", shortNames[typeURL], name)
	case !wanted:
	case !exists && typeURL == TypeEndpoints:
		if holds && held != emptyAssignment(name).Version {
			rt.Fatalf("EDS %s is gone but still held", name)
		}
	case !exists && holds:
		rt.Fatalf("%s %s is gone but still held", shortNames[typeURL], name)
	case exists && content != "bad" && held != made(typeURL, name, content).Version:
		rt.Fatalf("%s %s: holds %q, want the version of %q", shortNames[typeURL], name, held, content)
	case len(h.asked[typeURL]) > 0 && h.asked[typeURL][name]:
		if everything(typeURL) || h.refused[typeURL][name] != nil {
			return
		}
		rt.Fatalf("%s %s was asked for and never answered", shortNames[typeURL], name)
	}
}

// recount compares what subscriptions count with what they have; nothing may be
// under way.
func recount(rt *rapid.T, s *Server) {
	for st := range s.streams {
		for typeURL, sub := range st.subscriptions {
			holds, acked := 0, 0
			for name, e := range sub.entries {
				if e == (entry{}) {
					rt.Fatalf("%s %s has an entry for nothing", shortNames[typeURL], name)
				}
				if e.holds {
					holds++
				}
				if e.acked {
					acked++
				}
			}
			if holds != sub.holds || acked != sub.acked {
				rt.Fatalf("%s: %d held and %d acknowledged, counted as %d and %d", shortNames[typeURL], holds, acked, sub.holds, sub.acked)
			}
		}
	}
}

// remains counts what the server's indexes hold.
func remains(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := len(s.streams) + len(s.pods)
	for _, index := range s.named {
		left += len(index)
	}
	for _, index := range s.wildcard {
		left += len(index)
	}
	return left
}

// untimed hides the test's deadline, which can't be asked for in a bubble.
type untimed struct{ rapid.TB }
