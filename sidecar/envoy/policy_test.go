package envoy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

func accessGoldens() map[string]golden {
	web, admin := []mesh.Identity{webID}, []mesh.Identity{adminID}
	routes := func(p *mesh.Policy) golden { return golden{resource: IdentityRoutes(p, trustDomain)} }
	matching := func(matches ...mesh.HTTPMatch) golden {
		return routes(closed(mesh.Grant{Sources: web, HTTP: matches}))
	}
	connections := func(chain string, p *mesh.Policy) golden {
		l := WorkloadListener(workload(true), p, trustDomain)
		return golden{resource: l, part: chainOf(l, chain)}
	}
	byPort := closed(mesh.Grant{Sources: admin}, mesh.Grant{Sources: web, Ports: []uint16{5432}}, mesh.Grant{Sources: web, HTTP: []mesh.HTTPMatch{{}}, Ports: []uint16{8080}})
	return map[string]golden{
		"access-open":            routes(open()),
		"access-without-grants":  routes(closed()),
		"access-everything":      routes(closed(mesh.Grant{Sources: web})),
		"access-ports":           routes(closed(mesh.Grant{Sources: web, Ports: []uint16{8080, 9090}})),
		"access-methods":         matching(mesh.HTTPMatch{Methods: []string{"GET", "HEAD"}}),
		"access-path":            matching(mesh.HTTPMatch{PathRegex: "/api/.*"}),
		"access-headers":         matching(mesh.HTTPMatch{Headers: []mesh.HeaderMatch{{Name: "x-b", Regex: "yes|no"}, {Name: "x-a", Regex: ".*"}}}),
		"access-either-match":    matching(mesh.HTTPMatch{Methods: []string{"GET"}}, mesh.HTTPMatch{Methods: []string{"POST"}, PathRegex: "/orders"}),
		"access-match-of-all":    matching(mesh.HTTPMatch{Methods: []string{"GET"}}, mesh.HTTPMatch{}),
		"access-empty-header":    matching(mesh.HTTPMatch{Headers: []mesh.HeaderMatch{{Name: "x-debug"}}}),
		"access-two-grants":      routes(closed(mesh.Grant{Sources: web, Ports: []uint16{8080}}, mesh.Grant{Sources: web, Ports: []uint16{9090}}, mesh.Grant{Sources: admin})),
		"access-method-and-port": routes(closed(mesh.Grant{Sources: web, Ports: []uint16{8080}, HTTP: []mesh.HTTPMatch{{Methods: []string{"GET"}}}})),
		"access-tcp-open":        connections("mesh-tcp", open()),
		"access-tcp-any-port":    connections("mesh-tcp", byPort),
		"access-tcp-one-port":    connections("mesh-tcp/5432", byPort),
		"access-tcp-http-grant":  connections("mesh-tcp", closed(mesh.Grant{Sources: web, HTTP: []mesh.HTTPMatch{{}}})),
	}
}

// TestChainsOfPorts: a port that only some may connect to takes all that other
// ports take.
func TestChainsOfPorts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy *mesh.Policy
		want   []string
	}{
		"open": {open(), []string{"mesh", "mesh-tcp", "plaintext", "probes"}},
		"open with grants": {
			&mesh.Policy{Destination: cartID, Grants: []mesh.Grant{{Ports: []uint16{1}}}}, []string{"mesh", "mesh-tcp", "plaintext", "probes"},
		},
		"requests at a port": {
			closed(mesh.Grant{Ports: []uint16{1}, HTTP: []mesh.HTTPMatch{{}}}), []string{"mesh", "mesh-tcp", "plaintext", "probes"},
		},
		"a port of the sidecar's": {closed(mesh.Grant{Ports: []uint16{15006}}), []string{"mesh", "mesh-tcp", "plaintext", "probes"}},
		"two grants, three ports": {
			closed(mesh.Grant{Ports: []uint16{2, 1}}, mesh.Grant{Ports: []uint16{2}}, mesh.Grant{}),
			[]string{"mesh", "mesh-tcp", "plaintext", "probes", "mesh/1", "mesh-tcp/1", "plaintext/1", "probes/1", "mesh/2", "mesh-tcp/2", "plaintext/2", "probes/2"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, chain := range WorkloadListener(workload(true, mesh.Probe{Port: 1, Path: "/", Method: "GET", TLS: true}), tc.policy, trustDomain).GetFilterChains() {
				if !strings.HasPrefix(chain.GetName(), "own/") {
					got = append(got, chain.GetName())
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("chains (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAmbiguousPath(t *testing.T) {
	t.Parallel()
	whole := regexp.MustCompile(`\A(?:` + ambiguousPath + `)\z`)
	tests := map[string]bool{
		"/":                        false,
		"/public/x":                false,
		"/public/a.b/..c/d..":      false,
		"/public/...":              false,
		"/public/%20x;v=1":         false,
		"/public/100%25":           false,
		"/public/50%25%20off":      false,
		"/public/..":               true,
		"/public/.":                true,
		"/public/../admin":         true,
		"/public/./admin":          true,
		"/../admin":                true,
		"/public/%2e%2e/admin":     true,
		"/public/%2E./admin":       true,
		"/public/..;/admin":        true,
		"/public/..;v=1/admin":     true,
		"/public/..%3bv=1/admin":   true,
		"/public/..%2fadmin":       true,
		"/public/..%5Cadmin":       true,
		`/public/..\admin`:         true,
		`/public\..\admin`:         true,
		"/public/%252e%252e/admin": true,
		"/public%252Fadmin":        true,
		"/%61dmin":                 true,
		"/%5fadmin":                true,
		"/%2561dmin":               true,
		"/public/%2e%2ehidden":     true,
		"//admin":                  true,
		"//":                       true,
		"/public%255cadmin":        true,
	}
	for path, want := range tests {
		if got := whole.MatchString(path); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
}
