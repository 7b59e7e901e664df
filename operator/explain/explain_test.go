package explain_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

var (
	cart = mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	web  = mesh.Identity{Namespace: "shop", ServiceAccount: "web"}
)

func key(name string, port uint16) mesh.PortKey {
	return mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: port}
}

// shop has a Service of one meshed pod for each name, with port 80 for HTTP
// and 5432 for TCP, and the policy for all of them.
func shop(policy *mesh.Policy, names ...string) *mesh.Snapshot {
	workload := mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart"}
	s := &mesh.Snapshot{
		Workloads: mesh.TableOf(map[mesh.WorkloadKey]*mesh.Workload{workload: {
			Key: workload, Identity: cart, Probes: []mesh.Probe{{Port: 8080, Path: "/healthz?full=1", Method: "GET"}},
		}}),
	}
	if policy != nil {
		s.Policies = s.Policies.With(cart, policy)
	}
	for i, name := range names {
		pod := netip.AddrFrom4([4]byte{10, 244, 0, byte(i + 1)})
		s.PodsByIP = s.PodsByIP.With(pod, &mesh.Pod{Key: mesh.PodKey{Namespace: "shop", Name: name + "-1"}, Identity: cart, Meshed: true, Workload: workload, IPs: []netip.Addr{pod}})
		service := &mesh.Service{Key: key(name, 80).Service, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 96, 0, byte(i + 1)})}}
		for _, p := range []struct {
			number, target uint16
			protocol       mesh.Protocol
		}{{80, 8080, mesh.ProtocolHTTP}, {5432, 5432, mesh.ProtocolTCP}} {
			k := key(name, p.number)
			service.Ports = append(service.Ports, &mesh.Port{Key: k, Number: p.number, Protocol: p.protocol})
			s.Endpoints = s.Endpoints.With(k, &mesh.EndpointSet{Key: k, Identities: []mesh.Identity{cart}, Endpoints: []mesh.Endpoint{{
				Address: netip.AddrPortFrom(pod, p.target), Meshed: true, Identity: cart,
			}}})
		}
		s.Services = s.Services.With(service.Key, service)
	}
	return s
}

func closed(grants ...mesh.Grant) *mesh.Policy {
	return &mesh.Policy{Destination: cart, Closed: true, Grants: grants}
}

func get(target string) explain.Request {
	return explain.Request{From: explain.Caller{Identity: web}, To: key("cart", 80), Method: "GET", Target: target, Authority: "cart"}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	ofWeb := []mesh.Identity{web}
	reads := mesh.Grant{Origin: "TrafficTarget shop/t", Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Name: "read", Methods: []string{"GET"}, PathRegex: "/api/.*"}}}
	beta := mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "yes|yes,no"}}}}}
	with := func(r explain.Request, edit func(*explain.Request)) explain.Request { edit(&r); return r }
	header := func(lines ...explain.Header) explain.Request {
		return with(get("/"), func(r *explain.Request) { r.Headers = lines })
	}
	tests := map[string]struct {
		policy  *mesh.Policy
		request explain.Request
		want    explain.Outcome
	}{
		"open without a policy":                      {nil, get("/"), explain.Admitted},
		"open passes encoded slashes":                {nil, get("/a%2Fb"), explain.Admitted},
		"closed with no grant denies":                {closed(), get("/"), explain.Forbidden},
		"the method and the path hold":               {closed(reads), get("/api/x"), explain.Admitted},
		"the path matches as a whole":                {closed(reads), get("/x/api/x"), explain.Forbidden},
		"the query is no part of the path":           {closed(reads), get("/admin?/api/x"), explain.Forbidden},
		"a path is judged when it is normalised":     {closed(reads), get("/api/../admin"), explain.Forbidden},
		"an encoded slash is refused":                {closed(reads), get("/api/..%2fadmin"), explain.BadRequest},
		"and passes where no rule looks at paths":    {closed(mesh.Grant{Sources: ofWeb}), get("/api/..%2fadmin"), explain.Admitted},
		"an encoding of an encoding is denied":       {closed(reads), get("/api/%252e%252e/admin"), explain.Forbidden},
		"a fragment is refused":                      {nil, get("/a#b"), explain.BadRequest},
		"another method is denied":                   {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.Method = "POST" }), explain.Forbidden},
		"another caller is denied":                   {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.From.Identity.ServiceAccount = "web2" }), explain.Forbidden},
		"another namespace is denied":                {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.From.Identity.Namespace = "shop2" }), explain.Forbidden},
		"ports are those of the pod":                 {closed(mesh.Grant{Sources: ofWeb, Ports: []uint16{8080}}), get("/"), explain.Admitted},
		"and not those of the service":               {closed(mesh.Grant{Sources: ofWeb, Ports: []uint16{80}}), get("/"), explain.Forbidden},
		"port and match must both hold":              {closed(mesh.Grant{Sources: ofWeb, Ports: []uint16{9}, HTTP: reads.HTTP}), get("/api/x"), explain.Forbidden},
		"header names have no case":                  {closed(beta), header(explain.Header{Name: "X-Beta", Value: "yes"}), explain.Admitted},
		"lines of one header are one value":          {closed(beta), header(explain.Header{Name: "x-beta", Value: "yes"}, explain.Header{Name: "x-beta", Value: "no"}), explain.Admitted},
		"so that one of them does not stand for all": {closed(beta), header(explain.Header{Name: "x-beta", Value: "no"}, explain.Header{Name: "x-beta", Value: "yes"}), explain.Forbidden},
		"a header that is not there matches nothing": {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: ".*"}}}}}), get("/"), explain.Forbidden},
		"each byte is a character":                   {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "."}}}}}), header(explain.Header{Name: "x-beta", Value: "\xff"}), explain.Admitted},
		"so that é is two":                           {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: ".."}}}}}), header(explain.Header{Name: "x-beta", Value: "é"}), explain.Admitted},
		"and not one":                                {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "."}}}}}), header(explain.Header{Name: "x-beta", Value: "é"}), explain.Forbidden},
		"written in an expression it is itself":      {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "caf(é|e)"}}}}}), header(explain.Header{Name: "x-beta", Value: "café"}), explain.Admitted},
		"host is the authority":                      {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{Headers: []mesh.HeaderMatch{{Name: "host", Regex: "cart"}}}}}), get("/"), explain.Admitted},
		"an expression that is none matches nothing": {closed(mesh.Grant{Sources: ofWeb, HTTP: []mesh.HTTPMatch{{PathRegex: "("}}}), get("/"), explain.Forbidden},
		"a URL as the target names path and host":    {closed(reads), get("http://elsewhere/api/x"), explain.Admitted},
		"a connection needs a grant without matches": {closed(reads), explain.Request{From: explain.Caller{Identity: web}, To: key("cart", 5432), Protocol: explain.TCP}, explain.Closed},
		"and has one":                                {closed(mesh.Grant{Sources: ofWeb, Ports: []uint16{5432}}), explain.Request{From: explain.Caller{Identity: web}, To: key("cart", 5432), Protocol: explain.TCP}, explain.Admitted},
		"HTTP to a port of TCP is a connection":      {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.To.Port = 5432 }), explain.Closed},
		"outsiders have no identity to be granted":   {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.From = explain.Caller{Outside: true} }), explain.Forbidden},
		"but their probes work":                      {closed(), with(get("/healthz?other"), func(r *explain.Request) { r.From = explain.Caller{Outside: true} }), explain.Admitted},
		"with exactly the probe's path":              {closed(), with(get("/healthz/"), func(r *explain.Request) { r.From = explain.Caller{Outside: true} }), explain.Forbidden},
		"a service that is not there":                {nil, with(get("/"), func(r *explain.Request) { r.To = key("kart", 80) }), explain.Unavailable},
		"a port that is not there":                   {nil, with(get("/"), func(r *explain.Request) { r.To.Port = 81 }), explain.Unavailable},
		"a pod's own address is under its policy":    {closed(reads), with(get("/admin"), func(r *explain.Request) { r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("10.244.0.1:8080") }), explain.Forbidden},
		"a service's address is the service":         {closed(reads), with(get("/api/x"), func(r *explain.Request) { r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("10.96.0.1:80") }), explain.Admitted},
		"the sidecar's own port leads nowhere": {nil, with(get("/"), func(r *explain.Request) {
			r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("10.244.0.1:15006")
		}), explain.Closed},
		"an address outside the mesh is left alone":      {closed(), with(get("/"), func(r *explain.Request) { r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("192.0.2.1:80") }), explain.Admitted},
		"a match by one of several grants is sufficient": {closed(beta, reads), get("/api/x"), explain.Admitted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := explain.Explain(shop(tc.policy, "cart"), tc.request)
			if d.Outcome != tc.want {
				t.Errorf("got %s, want %s; %v", d.Outcome, tc.want, d.Trace)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := shop(nil, "cart")
	outside := get("/")
	outside.From = explain.Caller{Outside: true}
	elsewhere := get("/")
	elsewhere.To, elsewhere.Address = mesh.PortKey{}, netip.MustParseAddrPort("192.0.2.1:80")
	for _, step := range []struct {
		name    string
		change  func()
		request explain.Request
		want    explain.Outcome
	}{
		{"outsiders are admitted by default", func() {}, outside, explain.Admitted},
		{"strict refuses them", func() {
			s.Workloads.Get(mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart"}).Strict = true
		}, outside, explain.Forbidden},
		{"and no others", func() {}, get("/"), explain.Admitted},
		{"denying egress closes what is not of the mesh", func() { s.Settings.EgressDenied = true }, elsewhere, explain.Unavailable},
		{"access Deny closes who has no target", func() { s.Settings.Access = mesh.Deny }, get("/"), explain.Forbidden},
		{"a namespace may say otherwise", func() { s.NamespaceAccess = mesh.TableOf(map[string]mesh.Access{"shop": mesh.Allow}) }, get("/"), explain.Admitted},
	} {
		step.change()
		if d := explain.Explain(s, step.request); d.Outcome != step.want {
			t.Errorf("%s: got %s, want %s", step.name, d.Outcome, step.want)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	v1, v2, gone, empty := key("v1", 80), key("v2", 80), key("gone", 80), key("empty", 80)
	tests := map[string]struct {
		shares []mesh.Share
		want   explain.Outcome
		shown  []string
	}{
		"shares are exact": {
			[]mesh.Share{{Backend: v1, Weight: 1}, {Backend: v2, Weight: 2}},
			explain.Admitted,
			[]string{"v1 1/3 (33.333 %) admitted", "v2 2/3 (66.667 %) admitted"},
		},
		"weight 0 gets none": {
			[]mesh.Share{{Backend: v1, Weight: 5}, {Backend: v2}}, explain.Admitted, []string{"v1 5/5 (100 %) admitted"},
		},
		"what is missing keeps its share": {
			[]mesh.Share{{Backend: v1, Weight: 1}, {Backend: gone, Weight: 1, Missing: true}, {Backend: empty, Weight: 2}},
			explain.Mixed,
			[]string{"v1 1/4 (25 %) admitted", "gone 1/4 (25 %) 500 backend does not exist", "empty 2/4 (50 %) 503 nothing takes the request"},
		},
		"no weight at all": {[]mesh.Share{{Backend: v1}, {Backend: v2}}, explain.Unavailable, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shop(nil, "cart", "v1", "v2")
			s.Services.Get(key("cart", 80).Service).Ports[0].Route = &mesh.Route{Origin: "TrafficSplit shop/cart", Shares: tc.shares}
			d := explain.Explain(s, get("/"))
			var shown []string
			for _, b := range d.Branches {
				shown = append(shown, strings.Join([]string{b.Backend.Service.Name, b.Share(), b.Outcome.String()}, " "))
			}
			if d.Outcome != tc.want || d.Split != "TrafficSplit shop/cart" {
				t.Errorf("got %s by %q, want %s", d.Outcome, d.Split, tc.want)
			}
			if diff := cmp.Diff(tc.shown, shown); diff != "" {
				t.Errorf("branches (-want +got):\n%s", diff)
			}
			outside := get("/")
			outside.From = explain.Caller{Outside: true}
			if d := explain.Explain(s, outside); d.Outcome != explain.Admitted || d.Split != "" {
				t.Errorf("a caller outside the mesh: got %s by %q, want the root's own endpoints", d.Outcome, d.Split)
			}
		})
	}
}

func TestSplitsWithMatches(t *testing.T) {
	t.Parallel()
	s := shop(nil, "cart", "v1", "v2", "v3")
	by := func(origin, backend string, matches ...mesh.HTTPMatch) *mesh.Route {
		return &mesh.Route{Origin: origin, Matches: matches, Shares: []mesh.Share{{Backend: key(backend, 80), Weight: 1}}}
	}
	port := s.Services.Get(key("cart", 80).Service).Ports[0]
	port.Matched = []*mesh.Route{
		by("first", "v1", mesh.HTTPMatch{Name: "beta", PathRegex: "/beta"}, mesh.HTTPMatch{Name: "post", Methods: []string{"POST"}}),
		by("second", "v2", mesh.HTTPMatch{Name: "all beta", PathRegex: "/beta.*"}),
	}
	tests := map[string]struct {
		method, target, backend, split, match string
		rest                                  *mesh.Route
	}{
		"the first that describes it":         {"GET", "/beta?x", "v1", "first", "beta", nil},
		"by any of its matches":               {"POST", "/", "v1", "first", "post", nil},
		"then the next":                       {"GET", "/beta/x", "v2", "second", "all beta", nil},
		"paths are not normalised":            {"GET", "//beta", "cart", "", "", nil},
		"the rest goes to the root":           {"GET", "/", "cart", "", "", nil},
		"or where a split without matches is": {"GET", "/", "v3", "rest", "", by("rest", "v3")},
	}
	for name, tc := range tests {
		port.Route = tc.rest
		r := get(tc.target)
		r.Method = tc.method
		d := explain.Explain(s, r)
		if len(d.Branches) != 1 || d.Branches[0].Backend.Service.Name != tc.backend || d.Split != tc.split || d.SplitMatch != tc.match {
			t.Errorf("%s: got %+v", name, d)
		}
	}
	port.Matched = []*mesh.Route{by("first", "v1", mesh.HTTPMatch{Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "yes"}}})}
	r := get("/")
	r.Headers = []explain.Header{{Name: "x-beta", Value: "no"}, {Name: "x-beta", Value: "yes"}}
	if d := explain.Explain(s, r); d.Split != "first" {
		t.Errorf("one line of a header is enough: got %+v", d)
	}
}

func TestConnectionsAreShared(t *testing.T) {
	t.Parallel()
	s := shop(nil, "cart", "v1")
	s.Services.Get(key("cart", 5432).Service).Ports[1].Route = &mesh.Route{Origin: "split", Shares: []mesh.Share{
		{Backend: key("v1", 5432), Weight: 3}, {Backend: key("gone", 5432), Weight: 1, Missing: true},
	}}
	d := explain.Explain(s, explain.Request{From: explain.Caller{Identity: web}, To: key("cart", 5432), Protocol: explain.TCP})
	if d.Outcome != explain.Mixed || len(d.Branches) != 2 || d.Branches[0].Outcome != explain.Admitted || d.Branches[1].Outcome != explain.Closed {
		t.Errorf("got %+v", d)
	}
}

func TestHeadlessRootIsKnownByItsEndpoints(t *testing.T) {
	t.Parallel()
	s := shop(nil, "cart", "v1")
	service := s.Services.Get(key("cart", 80).Service)
	service.Addresses, service.Ports[0].Headless = nil, true
	service.Ports[0].Route = &mesh.Route{Origin: "split", Shares: []mesh.Share{{Backend: key("v1", 80), Weight: 1}}}
	r := get("/")
	r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("10.244.0.1:8080")
	if d := explain.Explain(s, r); d.Split != "split" {
		t.Errorf("a member that dials an endpoint: got %+v, want the split", d)
	}
	r.From = explain.Caller{Outside: true}
	if d := explain.Explain(s, r); d.Split != "" || d.Outcome != explain.Admitted {
		t.Errorf("a caller outside the mesh: got %+v, want the endpoint", d)
	}
}

func TestCallersAreSentWhereTheyMayGo(t *testing.T) {
	t.Parallel()
	admin := mesh.Identity{Namespace: "shop", ServiceAccount: "admin"}
	s := shop(closed(mesh.Grant{Sources: []mesh.Identity{web}, Ports: []uint16{8080}, HTTP: []mesh.HTTPMatch{{PathRegex: "/a"}}}), "cart")
	s.Policies = s.Policies.With(admin, &mesh.Policy{Destination: admin, Closed: true})
	set := s.Endpoints.Get(key("cart", 80))
	set.Endpoints = append(set.Endpoints, mesh.Endpoint{Address: netip.MustParseAddrPort("10.244.0.9:8080"), Meshed: true, Identity: admin})
	for _, tc := range []struct {
		name, caller, path string
		want               explain.Outcome
		verdicts           int
	}{
		{"an endpoint that never admits it is left out", "web", "/a", explain.Admitted, 1},
		{"one that would admit something else is not", "web", "/b", explain.Forbidden, 1},
		{"who may call nobody is told by anybody", "other", "/a", explain.Forbidden, 2},
	} {
		r := get(tc.path)
		r.From.Identity.ServiceAccount = tc.caller
		d := explain.Explain(s, r)
		if d.Outcome != tc.want || len(d.Branches[0].Verdicts) != tc.verdicts {
			t.Errorf("%s: got %+v", tc.name, d)
		}
	}
}

func TestPortsPastTheSidecarHaveNoPolicy(t *testing.T) {
	t.Parallel()
	s := shop(closed(), "cart")
	s.PodsByIP.Get(netip.MustParseAddr("10.244.0.1")).DirectPorts = []uint16{9000}
	for port, want := range map[uint16]explain.Outcome{9000: explain.Admitted, 9001: explain.Forbidden} {
		r := get("/")
		r.To, r.Address = mesh.PortKey{}, netip.AddrPortFrom(netip.MustParseAddr("10.244.0.1"), port)
		if d := explain.Explain(s, r); d.Outcome != want {
			t.Errorf("port %d: got %s, want %s", port, d.Outcome, want)
		}
	}
}

func TestDrainingEndpointsAreTheLastResort(t *testing.T) {
	t.Parallel()
	s := shop(nil, "cart")
	set := s.Endpoints.Get(key("cart", 80))
	draining := set.Endpoints[0]
	draining.Address, draining.State = netip.MustParseAddrPort("10.244.0.9:8080"), mesh.EndpointDraining
	set.Endpoints = append(set.Endpoints, draining)
	count := func() int { return explain.Explain(s, get("/")).Branches[0].Verdicts[0].Endpoints }
	if got := count(); got != 1 {
		t.Errorf("with a ready one: %d endpoints, want 1", got)
	}
	set.Endpoints = set.Endpoints[1:]
	if got := count(); got != 1 {
		t.Errorf("alone: %d endpoints, want 1", got)
	}
}
