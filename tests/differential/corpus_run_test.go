package differential_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// TestCorpus sends the corpus in both versions of HTTP to every kind of
// backend.
func TestCorpus(t *testing.T) {
	s := startSidecar(t, meshOf(corpusPolicy()))
	nginx := startBackends(t)
	requests := corpus()
	t.Logf("%d requests", len(requests))

	lanes := []lane{{"echo", portEcho, explain.HTTP1}, {"echo", portEcho, explain.HTTP2}, {"mux", portMux, explain.HTTP1}, {"mux", portMux, explain.HTTP2}, {"twice", portTwice, explain.HTTP1}, {"twice", portTwice, explain.HTTP2}}
	if nginx {
		lanes = append(lanes, lane{"nginx", portNginx, explain.HTTP1}, lane{"nginx", portNginx2, explain.HTTP2})
	}
	send(t, s, lanes, requests)

	// Where no rule looks at paths they pass as they are.
	for _, policy := range []*mesh.Policy{
		{Destination: self},
		{Destination: self, Closed: true, Grants: []mesh.Grant{{Sources: []mesh.Identity{web}, HTTP: []mesh.HTTPMatch{{Methods: []string{"GET"}}}}}},
	} {
		s.become(t, meshOf(policy))
		send(t, s, lanes[:2], requests)
	}
}

// send has each lane send all requests and reports what went wrong.
func send(t *testing.T, s *sidecar, lanes []lane, requests []explain.Request) {
	t.Helper()
	var total tally
	var wg sync.WaitGroup
	s.certificate(t, web)
	for _, l := range lanes {
		wg.Go(func() { l.run(t, s, requests, &total) })
	}
	wg.Wait()
	total.report(t)
}

type lane struct {
	kind     string
	port     uint16
	protocol explain.Protocol
}

// crossed are the targets that are tried with every method and header.
var crossed = []string{
	"/public/x", "/public/../admin", "/public/%2e%2e/team", "/team", "/team/../team/x", "//team", "/admin", "/items/abc",
	"/items/%61bc", "/public/x?y=/../z", "/x/open", "/%61dmin/open",
}

// corpus is the whole table: all targets with the first method and no header,
// the ones without single escapes with everything.
func corpus() []explain.Request {
	var out []explain.Request
	for _, target := range targets() {
		out = append(out, explain.Request{Method: "GET", Target: target, Authority: "cart"})
	}
	for _, target := range crossed {
		for _, method := range methods {
			for _, headers := range headerSets {
				out = append(out, explain.Request{Method: method, Target: target, Authority: "cart", Headers: headers})
			}
		}
	}
	for _, target := range []string{"/team", "/admin"} {
		out = append(out, explain.Request{Method: "POST", Target: target, Authority: "cart", Headers: []explain.Header{{Name: "X-Role", Value: "admin"}}})
	}
	for _, host := range hosts {
		for _, target := range []string{"/public/x", "/admin"} {
			out = append(out, explain.Request{Method: "GET", Target: target, Authority: host})
		}
	}
	return out
}

func (l lane) run(t *testing.T, s *sidecar, requests []explain.Request, total *tally) {
	to := netip.AddrPortFrom(netip.MustParseAddr(podAddress), l.port)
	first := explain.Request{From: explain.Caller{Identity: web}, Address: to, Protocol: l.protocol}
	c := s.client(t, first)
	defer c.close()
	for _, r := range requests {
		r.From, r.Address, r.Protocol = first.From, first.Address, first.Protocol
		total.judge(s.snapshot, r, c.send(r), fmt.Sprintf("%s HTTP/%d", l.kind, l.protocol+1))
	}
}
