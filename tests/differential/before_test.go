package differential_test

import (
	"net/netip"
	"testing"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// TestConnectionsFromBeforeThePolicy holds connections open while a policy
// that looks at paths comes into force: it holds for them, too.
func TestConnectionsFromBeforeThePolicy(t *testing.T) {
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	startBackends(t)
	to := netip.AddrPortFrom(netip.MustParseAddr(podAddress), portEcho)
	requests := []explain.Request{{Protocol: explain.HTTP1}, {Protocol: explain.HTTP2}}
	clients := make([]*client, len(requests))
	for i := range requests {
		requests[i].From.Identity, requests[i].Address = web, to
		requests[i].Method, requests[i].Authority, requests[i].Target = "GET", "cart", "/admin"
		clients[i] = s.client(t, requests[i])
		t.Cleanup(clients[i].close)
		if a := clients[i].send(requests[i]); a.outcome != explain.Admitted {
			t.Fatalf("without a policy: %s", a)
		}
	}
	s.become(t, meshOf(corpusPolicy()))
	for i, r := range requests {
		for _, target := range []string{"/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", `/public/..\admin`, "/%61dmin/open", "/public/..;/admin", "//admin/open", "/%2561dmin/open", "/%41dmin/open", "/a%2fdmin/open"} {
			r.Target = target
			conn := clients[i].conn
			if conn == nil {
				break // the proxy has closed it
			}
			a := clients[i].send(r)
			if a.outcome == explain.Admitted && clients[i].conn == conn {
				t.Errorf("%s\n  on a connection from before the policy: %s", show(r), a)
			}
		}
	}
}
