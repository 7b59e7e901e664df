package xds_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
)

// shares fails unless each of n answers comes as often as its share of the
// total says, give or take the tolerance.
func shares(t *testing.T, what string, got map[string]int, tolerance float64, want map[string]int) {
	t.Helper()
	n, total := 0, 0
	for _, count := range got {
		n += count
	}
	for _, weight := range want {
		total += weight
	}
	for answer, count := range got {
		if want[answer] == 0 {
			t.Errorf("%s: %d of %d answers are %q", what, count, n, answer)
		}
	}
	for answer, weight := range want {
		share, wanted := float64(got[answer])/float64(n), float64(weight)/float64(total)
		if share < wanted-tolerance || share > wanted+tolerance {
			t.Errorf("%s: %q has a share of %.3f, want %.3f", what, answer, share, wanted)
		}
	}
}

const (
	missing     = "500 "
	unavailable = "503 no healthy upstream"
)

// TestConnectionsAreShared follows a split of connections through its life.
// Connections from before a change stay where they are, whatever it is.
func TestConnectionsAreShared(t *testing.T) {
	s := startCaller(t, callees(split("s", "v1=3", "v2=1")))
	const to = webIP + ":5432"
	dial := func() string {
		c := s.connect(to)
		_ = c.Close()
		return c.by
	}
	shares(t, "at first", tally(80, dial), 0.05, map[string]int{"v1": 3, "v2": 1})
	kept := map[string]connected{}
	for kept["v1"].Conn == nil || kept["v2"].Conn == nil {
		c := s.connect(to)
		kept[c.by] = c
	}
	const closed = ""
	steps := []struct {
		name     string
		backends []string
		want     map[string]int
	}{
		{"equal, whatever number of endpoints", []string{"v1=1", "v2=1"}, map[string]int{"v1": 1, "v2": 1}},
		{"nothing for one", []string{"v1=0", "v2=1"}, map[string]int{"v2": 1}},
		{"nothing for the other", []string{"v1=1", "v2=0"}, map[string]int{"v1": 1}},
		{"one has no endpoints", []string{"v1=1", "v3=1"}, map[string]int{"v1": 1, closed: 1}},
		{"one doesn't exist", []string{"v1=1", "typo=3"}, map[string]int{"v1": 1, closed: 3}},
		{"the root's own endpoints, which are the others' too", []string{"web=3", "v2=1"}, map[string]int{"v1": 2, "v2": 2}},
		{"nothing for any", []string{"v1=0"}, map[string]int{closed: 1}},
		{"no split", nil, map[string]int{"v1": 2, "v2": 1}},
		{"again", []string{"v1=1", "v2=9"}, map[string]int{"v1": 1, "v2": 9}},
	}
	for _, step := range steps {
		if step.backends == nil {
			s.become(callees())
		} else {
			s.become(callees(split("s", step.backends...)))
		}
		s.eventually(step.name, func() bool {
			got := tally(8, dial)
			for by := range got {
				if step.want[by] == 0 {
					return false
				}
			}
			return true
		})
		tolerance := 0.06
		if step.backends == nil {
			tolerance = 0.4 // by least request
		}
		shares(t, step.name, tally(80, dial), tolerance, step.want)
		for by, c := range kept {
			if err := c.echoes("still there"); err != nil {
				t.Errorf("%s: the connection to %s: %v", step.name, by, err)
			}
		}
	}
}

func TestRequestsAreSharedByMatch(t *testing.T) {
	objects := callees(split("all", "v1=1"))
	match := func(m specsv1alpha4.HTTPMatch) specsv1alpha4.HTTPMatch { return m }
	header := func(name, regex string) *specsv1alpha4.Headers {
		return specsv1alpha4.HeadersFromMap(map[string]string{name: regex})
	}
	matching(&objects, split("beta", "v2=1"),
		match(specsv1alpha4.HTTPMatch{Name: "header", Headers: header("X-Beta", "yes|1")}),
		match(specsv1alpha4.HTTPMatch{Name: "path", PathRegex: "/beta(/[a-z]+)?", Methods: []string{"GET", "PUT"}}),
		match(specsv1alpha4.HTTPMatch{Name: "empty", Headers: header("x-empty", "")}),
		match(specsv1alpha4.HTTPMatch{Name: "host", Headers: header("host", "beta[.]shop")}))
	matching(&objects, split("later", "v3=1"),
		match(specsv1alpha4.HTTPMatch{Name: "later", PathRegex: "/beta.*|/later"}))
	matching(&objects, split("none", "v1=0"), match(specsv1alpha4.HTTPMatch{Name: "none", PathRegex: "/none"}))
	matching(&objects, split("typo", "typo=1"), match(specsv1alpha4.HTTPMatch{Name: "typo", PathRegex: "/typo"}))
	nowhere := split("nowhere", "v2=1")
	matching(&objects, nowhere)
	s := startCaller(t, objects)
	tests := map[string]struct {
		method, target, host string
		header               http.Header
		want                 string
	}{
		"what nothing describes":            {want: "200 v1"},
		"a header":                          {header: http.Header{"X-Beta": {"yes"}}, want: "200 v2"},
		"a header, its name in any case":    {header: http.Header{"x-bEtA": {"1"}}, want: "200 v2"},
		"a header, more than the value":     {header: http.Header{"X-Beta": {"yes!"}}, want: "200 v1"},
		"a header of two lines, one holds":  {header: http.Header{"X-Beta": {"no", "yes"}}, want: "200 v2"},
		"a header of two lines, none holds": {header: http.Header{"X-Beta": {"no", "no"}}, want: "200 v1"},
		"an empty header":                   {header: http.Header{"X-Empty": {""}}, want: "200 v2"},
		"one that is not empty":             {header: http.Header{"X-Empty": {"x"}}, want: "200 v1"},
		"a path":                            {target: "/beta/shop", want: "200 v2"},
		"a path with a query":               {target: "/beta?x=/y", want: "200 v2"},
		"the query is no path":              {target: "/?/beta", want: "200 v1"},
		"a path, one of the methods":        {method: "PUT", target: "/beta", want: "200 v2"},
		"a path, another method":            {method: "POST", target: "/beta", want: unavailable},
		"the younger takes what is left":    {target: "/betamax", want: unavailable},
		"paths are not read as others":      {target: "/x/../beta", want: "200 v1"},
		"encoded they are not, either":      {target: "/b%65ta", want: "200 v1"},
		"a host":                            {host: "beta.shop", want: "200 v2"},
		"another host":                      {host: "betaxshop", want: "200 v1"},
		"no weight":                         {target: "/none", want: "503 heddle: no backend has a weight"},
		"a backend that doesn't exist":      {target: "/typo", want: missing},
		"the way of the younger by its own": {target: "/later", want: unavailable},
	}
	for _, http2 := range []bool{false, true} {
		client := s.web(http2)
		for name, tc := range tests {
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			request, err := http.NewRequestWithContext(t.Context(), method, "http://"+webIP, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			path, query, _ := strings.Cut(tc.target, "?")
			if request.URL.Path, err = url.PathUnescape(path); err != nil {
				t.Fatal(err)
			}
			request.URL.RawPath, request.URL.RawQuery = path, query
			request.Host = tc.host
			for name, values := range tc.header {
				request.Header[name] = values
			}
			if got := s.answer(client, request); got != tc.want {
				t.Errorf("%s (HTTP/2: %t): %q, want %q", name, http2, got, tc.want)
			}
		}
	}
	// Without their groups the splits take nothing.
	objects.HTTPRouteGroups = nil
	s.become(objects)
	client := s.web(false)
	s.eventually("the groups are gone", func() bool { return s.get(client, "http://"+webIP+"/beta") == "200 v1" })
	shares(t, "without groups", tally(30, func() string { return s.get(client, "http://"+webIP+"/beta") }), 0, map[string]int{"200 v1": 1})
}

// Requests are shared one by one, also those of one HTTP/2 connection, as gRPC
// has it.
func TestEveryRequestIsSharedAnew(t *testing.T) {
	s := startCaller(t, callees(split("s", "v1=3", "v2=1")))
	for _, http2 := range []bool{false, true} {
		client := s.web(http2)
		got := tally(800, func() string { return s.get(client, "http://"+webIP+"/pkg.Service/Method") })
		shares(t, "requests", got, 0.06, map[string]int{"200 v1": 3, "200 v2": 1})
	}
	s.become(callees(split("s", "v1=1", "v3=1", "typo=2")))
	client := s.web(true)
	s.eventually("the new shares", func() bool { return s.get(client, "http://"+webIP+"/") != "200 v2" })
	shares(t, "with backends that answer nothing", tally(800, func() string { return s.get(client, "http://"+webIP+"/") }), 0.06,
		map[string]int{"200 v1": 1, unavailable: 1, missing: 2})
	for name, ip := range map[string]string{"v1": "10.96.0.11", "v2": "10.96.0.12"} {
		shares(t, "called directly", tally(20, func() string { return s.get(client, "http://"+ip+"/") }), 0, map[string]int{"200 " + name: 1})
	}
}

// The pods of a root without an address are known to be its own.
func TestAHeadlessRootIsShared(t *testing.T) {
	objects := func(splits ...string) build.Objects {
		o := callees()
		o.Services[0].Spec.ClusterIPs = []string{"None"}
		if len(splits) > 0 {
			o.TrafficSplits = append(o.TrafficSplits, split("s", splits...))
		}
		return o
	}
	s := startCaller(t, objects("v1=1", "v3=1"))
	const pod = "10.9.0.21" // one of v2
	ask := func() string { return s.get(s.web(false), "http://"+pod+":8081/") }
	shares(t, "requests", tally(60, ask), 0.25, map[string]int{"200 v1": 1, unavailable: 1})
	dial := func() string { return s.connect(pod + ":5432").by }
	shares(t, "connections", tally(40, dial), 0.05, map[string]int{"v1": 1, "": 1})

	s.become(objects())
	s.eventually("no split", func() bool { return ask() == "200 v2" && dial() == "v2" })
	byMatch := objects()
	matching(&byMatch, split("beta", "v1=1"), specsv1alpha4.HTTPMatch{Name: "beta", PathRegex: "/beta"})
	s.become(byMatch)
	s.eventually("by match", func() bool { return s.get(s.web(false), "http://"+pod+":8081/beta") == "200 v1" })
	shares(t, "what is not matched", tally(20, ask), 0, map[string]int{"200 v2": 1})
	shares(t, "connections match nothing", tally(20, dial), 0, map[string]int{"v2": 1})
}

// A change of weights takes effect at once and touches nothing that is under
// way, not even what goes to a backend that gets nothing any more.
func TestAChangeOfWeightsResetsNothing(t *testing.T) {
	s := startCaller(t, callees(split("s", "v1=1")))
	for _, http2 := range []bool{false, true} {
		s.become(callees(split("s", "v1=1")))
		s.eventually("all to v1", func() bool { return s.get(s.web(http2), "http://"+webIP+"/") == "200 v1" })
		body, send := io.Pipe()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+webIP+"/echo", body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.web(http2).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		for i := range 20 {
			s.become(callees(split("s", fmt.Sprint("v1=", i%3), "v2=1")))
			line := fmt.Sprintf("v1 line %d\n", i)
			if _, err := io.WriteString(send, line); err != nil {
				t.Fatalf("HTTP/2: %t, after %d changes: %v", http2, i, err)
			}
			if got, err := lines.ReadString('\n'); err != nil || got != line {
				t.Fatalf("HTTP/2: %t, after %d changes: heard %q, %v", http2, i, got, err)
			}
		}
		s.become(callees(split("s", "v1=0", "v2=1")))
		s.eventually("all to v2", func() bool { return s.get(s.web(http2), "http://"+webIP+"/") == "200 v2" })
		_ = send.Close()
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("HTTP/2: %t: in the end %q, %v", http2, rest, err)
		}
		_ = response.Body.Close()
	}
}

// WebSockets are shared by their first request and stay.
func TestWebSocketsAreShared(t *testing.T) {
	s := startCaller(t, callees(split("s", "v1=1", "v2=1")))
	open := map[string][]connected{}
	for range 40 {
		c := s.upgrade(webIP + ":80")
		open[c.by] = append(open[c.by], c)
	}
	if len(open["v1"]) < 5 || len(open["v2"]) < 5 || len(open) != 2 {
		t.Errorf("of 40, %d are v1's and %d v2's; there are %d kinds", len(open["v1"]), len(open["v2"]), len(open))
	}
	s.become(callees(split("s", "v1=0", "v2=1")))
	s.eventually("all to v2", func() bool {
		return cmp.Equal(map[string]int{"v2": 4}, tally(4, func() string { return s.upgrade(webIP + ":80").by }))
	})
	for by, all := range open {
		for _, c := range all {
			if err := c.echoes("still there"); err != nil {
				t.Errorf("a WebSocket to %s: %v", by, err)
			}
		}
	}
}

// There may be thousands of backends.
func TestASplitAmongThousands(t *testing.T) {
	const n = 3000
	objects := callees()
	var backends []string
	for i := range n {
		name := fmt.Sprint("many-", i)
		addService(&objects, name, fmt.Sprintf("10.97.%d.%d", i/250, i%250+1), versions["v1"][0])
		backends = append(backends, name+"=1")
	}
	objects.TrafficSplits = append(objects.TrafficSplits, split("s", append(backends, fmt.Sprint("v2=", n))...))
	s := startCaller(t, objects)
	s.noneRejected()
	client := s.web(false)
	shares(t, "requests", tally(400, func() string { return s.get(client, "http://"+webIP+"/") }), 0.1, map[string]int{"200 v1": 1, "200 v2": 1})
	shares(t, "connections", tally(40, func() string { return s.connect(webIP + ":5432").by }), 0.1, map[string]int{"v1": 1, "v2": 1})
}

// TestUsersStayWhereTheyAre: as a weight grows, users of the candidate stay with it,
// and those without a mark are shared by chance.
func TestUsersStayWhereTheyAre(t *testing.T) {
	for _, by := range []string{"header:X-User", "cookie:session"} {
		t.Run(by, func(t *testing.T) {
			weights := func(primary, canary int) build.Objects {
				s := split("s", fmt.Sprint("v1=", primary), fmt.Sprint("v2=", canary))
				s.Annotations = map[string]string{"heddle.dev/cohort": by}
				return callees(s)
			}
			s := startCaller(t, weights(90, 10))
			client := s.web(false)
			as := func(user string) string {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+webIP+"/", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if by == "cookie:session" {
					request.AddCookie(&http.Cookie{Name: "other", Value: "x"})
					request.AddCookie(&http.Cookie{Name: "session", Value: user})
				} else {
					request.Header.Set("x-user", user)
				}
				return s.answer(client, request)
			}
			const users = 400
			candidate := map[int]bool{}
			for _, weight := range []int{10, 30, 60, 100} {
				s.become(weights(100-weight, weight))
				// The virtual host with the new weights may come a moment later.
				s.eventually("the new weights hold", func() bool {
					n := 0
					for user := range users {
						if as(fmt.Sprint("user-", user)) == "200 v2" {
							n++
						}
					}
					return n >= users*(weight-8)/100 && n <= users*(weight+8)/100
				})
				for user := range users {
					sees := as(fmt.Sprint("user-", user)) == "200 v2"
					if again := as(fmt.Sprint("user-", user)) == "200 v2"; sees != again {
						t.Errorf("at %d: user %d is sent to and fro", weight, user)
					}
					if candidate[user] && !sees {
						t.Errorf("at %d: user %d has lost the candidate", weight, user)
					}
					candidate[user] = sees
				}
			}
			s.become(weights(50, 50))
			s.eventually("others are shared by chance", func() bool {
				n := tally(200, func() string { return s.get(client, "http://"+webIP+"/") })
				return n["200 v1"] > 60 && n["200 v2"] > 60
			})
		})
	}
}
