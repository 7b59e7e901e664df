package envoy

import (
	"regexp"
	"testing"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

func accessGoldens() map[string]golden {
	web, admin := []mesh.Identity{webID}, []mesh.Identity{adminID}
	routes := func(p *mesh.Policy) golden { return golden{resource: IdentityRoutes(p, trustDomain)} }
	matching := func(matches ...mesh.HTTPMatch) golden {
		return routes(closed(mesh.Grant{Sources: web, HTTP: matches}))
	}
	connections := func(p *mesh.Policy) golden {
		l := WorkloadListener(workload(true), p, trustDomain)
		return golden{resource: l, part: chainOf(l, "mesh-tcp").GetFilters()[0]}
	}
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
		"access-tcp":             connections(closed(mesh.Grant{Sources: admin}, mesh.Grant{Sources: web, Ports: []uint16{5432}})),
		"access-tcp-http-grant":  connections(closed(mesh.Grant{Sources: web, HTTP: []mesh.HTTPMatch{{}}})),
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
