package convert

import (
	"regexp"
	"testing"
)

func TestHTTPRouteGroup(t *testing.T) {
	t.Parallel()
	const head = "kind: HTTPRouteGroup\napiVersion: specs.smi-spec.io/"
	const all = "matches: [{name: a, pathRegex: /a, methods: [GET], headers: {x: z}}, {name: b, headers: []}]"
	tests := map[string]conversion{
		"headers are a path that no request has": {
			written: head + "v1alpha4\nmetadata: {name: x}\nspec: {" + all + "}",
			seen: map[string]string{
				"v1alpha3": head + "v1alpha3\nmetadata: {name: x}\nspec: {" + all + "}",
				"v1alpha2": head + "v1alpha2\nmetadata: {name: x}\n" + all,
				"v1alpha1": head + `v1alpha1
metadata:
  name: x
  annotations:
    heddle.dev/spec-v1alpha4: '{"matches":[{"headers":{"x":"z"},"methods":["GET"],"name":"a","pathRegex":"/a"},{"headers":[],"name":"b"}]}'
matches: [{name: a, pathRegex: '[^\s\S]', methods: [GET]}, {name: b, pathRegex: .*, methods: ['*']}]`,
			},
		},
		"paths and methods mean the same in every version": {
			written: head + "v1alpha1\nmatches: [{name: a, pathRegex: /a, methods: [GET]}]",
			seen: map[string]string{
				"v1alpha2": head + "v1alpha2\nmatches: [{name: a, pathRegex: /a, methods: [GET]}]",
				"v1alpha4": head + "v1alpha4\nspec: {matches: [{name: a, pathRegex: /a, methods: [GET]}]}",
			},
		},
		"headers that make no sense still limit": {
			written: head + "v1alpha2\nmatches: [{name: a, pathRegex: /a, methods: [GET], headers: oops}]",
			seen: map[string]string{
				"v1alpha4": head + "v1alpha4\nspec: {matches: [{name: a, pathRegex: /a, methods: [GET], headers: oops}]}",
				"v1alpha1": head + `v1alpha1
metadata:
  annotations:
    heddle.dev/spec-v1alpha4: '{"matches":[{"headers":"oops","methods":["GET"],"name":"a","pathRegex":"/a"}]}'
matches: [{name: a, pathRegex: '[^\s\S]', methods: [GET]}]`,
			},
		},
		"what was left out comes back left out": {
			written: head + "v1alpha1\nmatches: [{name: a}]",
			seen: map[string]string{
				"v1alpha3": head + `v1alpha3
metadata:
  annotations:
    heddle.dev/spec-v1alpha1: '{"matches":[{"name":"a"}]}'
spec: {matches: [{name: a}]}`,
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, "specs.smi-spec.io")
		})
	}
}

func TestNoPathMatchesNothing(t *testing.T) {
	t.Parallel()
	expression := regexp.MustCompile(noPath)
	for _, path := range []string{"", "/", "*", "/a", "\n", "[^\\s\\S]", "\xff", "é"} {
		if expression.MatchString(path) {
			t.Errorf("it matches %q", path)
		}
	}
}

func TestTCPRoute(t *testing.T) {
	t.Parallel()
	const head = "kind: TCPRoute\napiVersion: specs.smi-spec.io/"
	const ports = `
metadata:
  annotations:
    heddle.dev/spec-v1alpha4: '{"matches":{"name":"web","ports":[80,443]}}'`
	tests := map[string]conversion{
		"ports are kept where they can't be seen": {
			written: head + "v1alpha4\nspec: {matches: {name: web, ports: [80, 443]}}",
			seen: map[string]string{
				"v1alpha3": head + "v1alpha3" + ports + "\nspec: {}",
				"v1alpha2": head + "v1alpha2" + ports,
				"v1alpha1": head + "v1alpha1" + ports,
			},
		},
		"every port": {
			written: head + "v1alpha1\nmetadata: {name: x}",
			seen: map[string]string{
				"v1alpha2": head + "v1alpha2\nmetadata: {name: x}",
				"v1alpha3": head + "v1alpha3\nmetadata: {name: x}\nspec: {}",
				"v1alpha4": head + "v1alpha4\nmetadata: {name: x}\nspec: {matches: {ports: []}}",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, "specs.smi-spec.io")
		})
	}
}
