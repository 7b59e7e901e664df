package differential_test

import (
	"flag"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// TestRandom draws meshes, policies and requests: 2,000 decisions, or 100,000
// with HEDDLE_LONG=1. A failure is shrunk to the smallest that still fails.
func TestRandom(t *testing.T) {
	meshes, requests := 40, 50
	if os.Getenv("HEDDLE_LONG") != "" {
		meshes, requests = 500, 200
	}
	services := netip.MustParsePrefix(servicesAt)
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(meshes), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	startBackends(t)
	counts := map[explain.Outcome]int{}
	total, late, slow := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		s.become(rt, drawMesh(rt))
		clients := map[string]*client{}
		for range requests {
			r := drawRequest(rt, s.snapshot)
			key := show(explain.Request{From: r.From, To: r.To, Address: r.Address, Protocol: r.Protocol})
			if clients[key] == nil {
				clients[key] = s.client(rt, r)
			}
			if r.From.Outside || r.To != (mesh.PortKey{}) || services.Contains(r.Address.Addr()) {
				clients[key].close() // what is spoken is found by the first bytes
			}
			began := time.Now()
			a := clients[key].send(r)
			if time.Since(began) > time.Second {
				slow++
			}
			diff := difference(explain.Explain(s.snapshot, r), r, a)
			if diff != "" && r.To != (mesh.PortKey{}) {
				// The sidecar may have sent it on a connection from before the
				// mesh changed, which ends with its first answer.
				late++
				a = clients[key].send(r)
				diff = difference(explain.Explain(s.snapshot, r), r, a)
			}
			counts[a.outcome]++
			total++
			if diff != "" {
				rt.Fatalf("difference: %s\n  %s", show(r), diff)
			}
			if around := bypass(s.snapshot.Policies.Get(self), r, r.Address.Port(), a); around != "" && r.To == (mesh.PortKey{}) {
				rt.Fatalf("bypass: %s\n  %s; it got %q", show(r), around, a.target)
			}
		}
		for _, c := range clients {
			c.close()
		}
	})
	t.Logf("%d decisions compared, %d of them at the second try, %d after more than a second: %v", total, late, slow, counts)
}

var (
	callers     = []mesh.Identity{web, admin, dotted, self}
	pathRegexes = []string{"", "/public/.*", "/.*", "/[^a]*", "/items/[a-z]+", "/a?b*", "(?i)/PUBLIC/x", "/public|/admin", "/team(/.*)?", `/\w+/x`, "/.", "/public/[^/]+", "/a%20b", "^/x$"}
	headRegexes = []string{"", ".*", "admin", "user.*", "admin|user", ".+", "[^,]*", "a b", ".*é.*"}
	headNames   = []string{"x-role", "x-team", "host"}
)

func subset[T any](t *rapid.T, of []T, label string) []T {
	return slices.DeleteFunc(slices.Clone(of), func(T) bool { return !rapid.Bool().Draw(t, label) })
}

func drawMesh(t *rapid.T) *mesh.Snapshot {
	policy := &mesh.Policy{Destination: self, Closed: rapid.IntRange(0, 4).Draw(t, "closed") > 0}
	for i := range rapid.IntRange(0, 3).Draw(t, "grants") {
		grant := mesh.Grant{
			Origin:  "TrafficTarget shop/" + strconv.Itoa(i),
			Sources: subset(t, callers, "source"),
			HTTP:    rapid.SliceOfN(rapid.Custom(drawMatch), 0, 3).Draw(t, "matches"),
		}
		if rapid.Bool().Draw(t, "any port") {
			grant.Ports = subset(t, []uint16{portEcho, portMux, portNginx, portNginx2, portTCP}, "port")
		}
		policy.Grants = append(policy.Grants, grant)
	}
	s := meshOf(policy)
	for _, w := range s.Workloads.All() {
		w.Strict = rapid.Bool().Draw(t, "strict")
	}
	s.Settings.EgressDenied = rapid.Bool().Draw(t, "egress denied")
	addService(s, "root", portEcho, mesh.ProtocolHTTP)
	route := &mesh.Route{Origin: "TrafficSplit shop/root"}
	for _, name := range []string{"echo", "plain", "empty", "gone"} {
		route.Shares = append(route.Shares, mesh.Share{
			Backend: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: portEcho},
			Weight:  rapid.SampledFrom([]uint32{0, 0, 1, 3, 1 << 29}).Draw(t, "weight of "+name),
			Missing: name == "gone",
		})
	}
	root := s.Services.Get(mesh.ServiceKey{Namespace: "shop", Name: "root"}).Ports[0]
	if rapid.Bool().Draw(t, "split without matches") {
		root.Route = route
	}
	for _, name := range subset(t, []string{"echo", "plain"}, "split with matches") {
		root.Matched = append(root.Matched, &mesh.Route{
			Origin:  "TrafficSplit shop/" + name,
			Matches: rapid.SliceOfN(rapid.Custom(drawMatch), 1, 2).Draw(t, "split matches"),
			Shares:  []mesh.Share{{Backend: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: portEcho}, Weight: 1}},
		})
	}
	if rapid.Bool().Draw(t, "split of connections") {
		tcp := s.Services.Get(mesh.ServiceKey{Namespace: "shop", Name: "tcp"}).Ports[0]
		tcp.Route = &mesh.Route{Origin: "TrafficSplit shop/tcp", Shares: []mesh.Share{
			{Backend: tcp.Key, Weight: rapid.Uint32Range(0, 2).Draw(t, "weight of tcp")},
			{Backend: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "gone"}, Port: portTCP}, Weight: rapid.Uint32Range(0, 1).Draw(t, "weight of gone"), Missing: true},
		}}
	}
	return s
}

func drawMatch(t *rapid.T) mesh.HTTPMatch {
	m := mesh.HTTPMatch{
		Name: "m", Methods: subset(t, []string{"GET", "POST", "DELETE"}, "method"),
		PathRegex: rapid.SampledFrom(pathRegexes).Draw(t, "path regex"),
	}
	for _, name := range headNames {
		if rapid.IntRange(0, 3).Draw(t, "header "+name) == 0 {
			m.Headers = append(m.Headers, mesh.HeaderMatch{Name: name, Regex: rapid.SampledFrom(headRegexes).Draw(t, "header regex")})
		}
	}
	return m
}

// fragments are what random targets are made of.
var fragments = []string{
	"/", "/", "/", "a", "b", "x", "public", "admin", "items", "team", ".", "..", "%2e", "%2E", "%2f", "%5C", `\`, "%25", "%61", "%41", "%7e",
	"%", "%2", "%zz", ";", "?", "&", "=", "%20", "%00", "%0a", "%7f", "%c3%a9", "%c0%af", "%ff", "+", "*", "~", "'", "@", ":", "!", "$", "(", ")", ",", "[", "]", "|", "^", "`", "{", "}", `"`, "<", ">", "é", "#",
}

func drawTarget(t *rapid.T) string {
	if rapid.Bool().Draw(t, "from the corpus") {
		return rapid.SampledFrom(allTargets).Draw(t, "target")
	}
	return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(fragments), 0, 8).Draw(t, "fragments"), "")
}

var allTargets = targets()

func drawHeaders(t *rapid.T, protocol explain.Protocol) []explain.Header {
	names := []string{"x-role", "x-role", "x-team", "x-other"}
	if protocol == explain.HTTP1 { // on HTTP/2 Envoy takes a second to close
		names = append(names, "X-Role")
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) explain.Header {
		return explain.Header{
			Name:  rapid.SampledFrom(names).Draw(t, "name"),
			Value: rapid.SampledFrom([]string{"admin", "user", "", "admin,user", "a b", "é", "\xff", "Admin"}).Draw(t, "value"),
		}
	}), 0, 3).Draw(t, "headers")
}

func drawRequest(t *rapid.T, s *mesh.Snapshot) explain.Request {
	r := explain.Request{
		Protocol:  rapid.SampledFrom([]explain.Protocol{explain.HTTP1, explain.HTTP1, explain.HTTP2, explain.HTTP2, explain.TCP}).Draw(t, "protocol"),
		Method:    rapid.SampledFrom([]string{"GET", "GET", "POST", "DELETE", "HEAD", "get"}).Draw(t, "method"),
		Authority: rapid.SampledFrom([]string{"cart", "admin", "Cart:80", "a"}).Draw(t, "authority"),
		Target:    drawTarget(t),
	}
	r.Headers = drawHeaders(t, r.Protocol)
	port := rapid.SampledFrom([]uint16{portEcho, portEcho, portMux, portTwice, portNginx}).Draw(t, "to")
	switch {
	case r.Protocol == explain.TCP:
		port = portTCP
	case r.Protocol == explain.HTTP2 && port == portNginx:
		port = portNginx2
	}
	r.Address = netip.AddrPortFrom(netip.MustParseAddr(podAddress), port)
	switch rapid.IntRange(0, 5).Draw(t, "way") {
	case 0:
		r.From.Outside = true
	case 1:
		r.From.Identity = self
		name := rapid.SampledFrom([]string{"echo", "root", "root", "plain", "empty", "both"}).Draw(t, "service")
		r.To = mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: portEcho}
		if r.Protocol == explain.TCP {
			r.To = mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "tcp"}, Port: portTCP}
		}
		r.Address = netip.AddrPort{}
	case 2:
		if s.Settings.EgressDenied {
			third, fourth := rapid.ByteRange(128, 254).Draw(t, "third"), rapid.Byte().Draw(t, "fourth")
			r.From.Identity, r.Address = self, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 96, third, fourth}), 80)
			break
		}
		fallthrough
	default:
		r.From.Identity = rapid.SampledFrom(append(slices.Clone(callers), dotless, longer)).Draw(t, "from")
	}
	return r
}
