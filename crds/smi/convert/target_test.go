package convert

import "testing"

const (
	targetHead = "kind: TrafficTarget\napiVersion: access.smi-spec.io/"
	openOne    = "destination: {kind: ServiceAccount, name: cart}, sources: [{kind: ServiceAccount, name: web}]"
	openPort   = "destination: {kind: ServiceAccount, name: cart, port: 8080}, sources: [{kind: ServiceAccount, name: web}]"
)

func TestTrafficTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]conversion{
		"groups alone mean the same in every version": {
			written: targetHead + "v1alpha3\nspec: {" + openOne + ", rules: [{kind: HTTPRouteGroup, name: g, matches: [m]}]}",
			seen: map[string]string{
				"v1alpha2": targetHead + "v1alpha2\nspec: {" + openOne + ", rules: [{kind: HTTPRouteGroup, name: g, matches: [m]}]}",
				"v1alpha1": targetHead + `v1alpha1
destination: {kind: ServiceAccount, name: cart}
sources: [{kind: ServiceAccount, name: web}]
specs: [{kind: HTTPRouteGroup, name: g, matches: [m]}]`,
			},
		},
		"the destination's port limits groups": {
			written: targetHead + "v1alpha2\nspec: {" + openPort + ", rules: [{kind: HTTPRouteGroup, name: g}]}",
			seen: map[string]string{
				"v1alpha3": targetHead + "v1alpha3\nspec: {" + openOne + ", rules: [{kind: HTTPRouteGroup, name: g}, {kind: TCPRoute, name: ':8080'}]}",
				"v1alpha1": targetHead + `v1alpha1
destination: {kind: ServiceAccount, name: cart, port: 8080}
sources: [{kind: ServiceAccount, name: web}]
specs: [{kind: HTTPRouteGroup, name: g}]`,
			},
		},
		"the destination's port limits each TCPRoute": {
			written: targetHead + "v1alpha1\n" + `
destination: {kind: ServiceAccount, name: cart, port: 8080}
sources: [{kind: ServiceAccount, name: web}]
specs: [{kind: TCPRoute, name: t}, {kind: HTTPRouteGroup, name: g}]`,
			seen: map[string]string{
				"v1alpha3": targetHead + `v1alpha3
metadata:
  annotations:
    heddle.dev/spec-v1alpha2: '{"destination":{"kind":"ServiceAccount","name":"cart","port":8080},"rules":[{"kind":"TCPRoute","name":"t"},{"kind":"HTTPRouteGroup","name":"g"}],"sources":[{"kind":"ServiceAccount","name":"web"}]}'
spec: {` + openOne + ", rules: [{kind: TCPRoute, name: 't:8080'}, {kind: HTTPRouteGroup, name: g}]}",
				"v1alpha2": targetHead + "v1alpha2\nspec: {" + openPort + ", rules: [{kind: TCPRoute, name: t}, {kind: HTTPRouteGroup, name: g}]}",
			},
		},
		"a source with a port is nobody": {
			written: targetHead + "v1alpha2\nspec: {destination: {kind: ServiceAccount, name: cart}, sources: [{kind: ServiceAccount, name: web, port: 1}], rules: []}",
			seen: map[string]string{
				"v1alpha3": targetHead + `v1alpha3
metadata:
  annotations:
    heddle.dev/spec-v1alpha2: '{"destination":{"kind":"ServiceAccount","name":"cart"},"rules":[],"sources":[{"kind":"ServiceAccount","name":"web","port":1}]}'
spec: {destination: {kind: ServiceAccount, name: cart}, sources: [], rules: []}`,
			},
		},
		"lists that were left out are empty": {
			written: targetHead + "v1alpha2\nspec: {destination: {kind: ServiceAccount, name: cart}}",
			seen: map[string]string{
				"v1alpha3": targetHead + `v1alpha3
metadata:
  annotations:
    heddle.dev/spec-v1alpha2: '{"destination":{"kind":"ServiceAccount","name":"cart"}}'
spec: {destination: {kind: ServiceAccount, name: cart}, sources: [], rules: []}`,
			},
		},
		"the ports of a TCPRoute can't be told": {
			written: targetHead + "v1alpha3\nspec: {" + openOne + ", rules: [{kind: HTTPRouteGroup, name: g}, {kind: TCPRoute, name: t}]}",
			seen: map[string]string{
				"v1alpha2": targetHead + `v1alpha2
metadata:
  annotations:
    heddle.dev/spec-v1alpha3: '{"destination":{"kind":"ServiceAccount","name":"cart"},"rules":[{"kind":"HTTPRouteGroup","name":"g"},{"kind":"TCPRoute","name":"t"}],"sources":[{"kind":"ServiceAccount","name":"web"}]}'
spec: {` + openOne + ", rules: []}",
			},
		},
		"datagrams are a matter of their own": {
			written: targetHead + "v1alpha3\nspec: {" + openOne + ", rules: [{kind: HTTPRouteGroup, name: g}, {kind: UDPRoute, name: u}]}",
			seen: map[string]string{
				"v1alpha1": targetHead + `v1alpha1
metadata:
  annotations:
    heddle.dev/spec-v1alpha3: '{"destination":{"kind":"ServiceAccount","name":"cart"},"rules":[{"kind":"HTTPRouteGroup","name":"g"},{"kind":"UDPRoute","name":"u"}],"sources":[{"kind":"ServiceAccount","name":"web"}]}'
destination: {kind: ServiceAccount, name: cart}
sources: [{kind: ServiceAccount, name: web}]
specs: [{kind: HTTPRouteGroup, name: g}]`,
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, "access.smi-spec.io")
		})
	}
}

// What only an API server with another schema lets in grants nothing.
func TestTrafficTargetThatMakesNoSense(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"a port of zero":                    "port: 0}, rules: [{kind: HTTPRouteGroup, name: g}]",
		"a port too large":                  "port: 65536}, rules: [{kind: HTTPRouteGroup, name: g}]",
		"a port in words":                   "port: http}, rules: [{kind: HTTPRouteGroup, name: g}]",
		"a port that is nothing":            "port: null}, rules: [{kind: HTTPRouteGroup, name: g}]",
		"a rule for datagrams":              "}, rules: [{kind: UDPRoute, name: u}]",
		"a TCPRoute with a limit":           "}, rules: [{kind: TCPRoute, name: 't:80'}]",
		"a TCPRoute without a name":         "port: 80}, rules: [{kind: TCPRoute}]",
		"rules that are no list":            "}, rules: {kind: HTTPRouteGroup, name: g}",
		"rules that are no rules":           "}, rules: [g]",
		"a rule of an unknown kind":         "}, rules: [{kind: Everything, name: g}]",
		"a TCPRoute with a limit on a port": "port: 90}, rules: [{kind: TCPRoute, name: ':80'}]",
	}
	for name, rest := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written := parse(t, targetHead+"v1alpha2\nspec: {sources: [], destination: {kind: ServiceAccount, name: cart, "+rest+"}")
			got := convert(t, written, "access.smi-spec.io/v1alpha3")["spec"].(map[string]any)["rules"].([]any)
			if len(got) != 0 {
				t.Errorf("rules %v, want none", got)
			}
		})
	}
}
