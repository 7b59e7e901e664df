package convert

import (
	"fmt"

	"pgregory.net/rapid"
)

// group and name of each kind, for the tests that hold for all of them.
var families = map[string]struct {
	group string
	kind  kind
	// spec draws what a user could have written in the version.
	spec func(t *rapid.T, version string) body
}{
	"TrafficSplit":   {"split.smi-spec.io", splits, randomSplit},
	"TrafficTarget":  {"access.smi-spec.io", targets, randomTarget},
	"HTTPRouteGroup": {"specs.smi-spec.io", groups, randomGroup},
	"TCPRoute":       {"specs.smi-spec.io", routes, randomRoute},
}

// randomObject draws an object of the kind, with annotations of the user's own
// or none.
func randomObject(t *rapid.T, kind, version string) map[string]any {
	family := families[kind]
	object := map[string]any{"kind": kind, "apiVersion": family.group + "/" + version}
	metadata := map[string]any{"name": "x", "namespace": "shop", "generation": int64(1)}
	if rapid.Bool().Draw(t, "annotated") {
		metadata["annotations"] = map[string]any{"mine": "1"}
	}
	object["metadata"] = metadata
	if rapid.Bool().Draw(t, "with status") {
		object["status"] = map[string]any{"observedGeneration": int64(1)}
	}
	family.kind.versions[version].layout.put(object, family.spec(t, version))
	return object
}

// randomVersions draws n of the kind's versions.
func randomVersions(t *rapid.T, kind string, n int) []string {
	var all []string
	for i := range len(families[kind].kind.versions) {
		all = append(all, fmt.Sprintf("v1alpha%d", i+1))
	}
	return rapid.SliceOfN(rapid.SampledFrom(all), n, n).Draw(t, "versions")
}

// maybe sets a field now and then.
func maybe(t *rapid.T, object map[string]any, name string, value func() any) {
	if rapid.IntRange(0, 2).Draw(t, name+"?") > 0 {
		object[name] = value()
	}
}

func listOf(t *rapid.T, name string, limit int, element func() any) []any {
	out := []any{}
	for range rapid.IntRange(0, limit).Draw(t, name) {
		out = append(out, element())
	}
	return out
}

func randomSplit(t *rapid.T, version string) body {
	services := rapid.SampledFrom([]any{"web", "v1", "v2", "v3"})
	b := body{"service": "web", "backends": listOf(t, "backends", 3, func() any {
		backend := map[string]any{"service": services.Draw(t, "service")}
		maybe(t, backend, "weight", func() any {
			number := int64(rapid.IntRange(0, 2000).Draw(t, "weight"))
			if version != "v1alpha1" || rapid.Bool().Draw(t, "as a number") {
				return number
			}
			return fmt.Sprint(number) + rapid.SampledFrom([]string{"", "m", "k", ".5", ".125m", "u", "n"}).Draw(t, "unit")
		})
		return backend
	})}
	if version == "v1alpha3" || version == "v1alpha4" {
		maybe(t, b, "matches", func() any {
			return listOf(t, "matches", 2, func() any { return map[string]any{"kind": "HTTPRouteGroup", "name": "g"} })
		})
	}
	return b
}

func randomTarget(t *rapid.T, version string) body {
	ported := version != "v1alpha3"
	subject := func(portless int) any {
		s := map[string]any{"kind": "ServiceAccount", "name": rapid.SampledFrom([]any{"a", "b"}).Draw(t, "account")}
		if ported && rapid.IntRange(0, portless).Draw(t, "port?") == 0 {
			s["port"] = rapid.SampledFrom([]any{int64(80), int64(90)}).Draw(t, "port")
		}
		return s
	}
	kinds := []any{"HTTPRouteGroup", "TCPRoute"}
	names := []any{"one", "two", "one", "two", "none", "one:80", ":80"}
	if !ported {
		kinds = append(kinds, "UDPRoute")
		names = append(names, "two:90", ":90", "one:", ":80:80")
	}
	b := body{"destination": subject(1)}
	sources := func() any { return listOf(t, "sources", 3, func() any { return subject(5) }) }
	rules := func() any {
		return listOf(t, "rules", 3, func() any {
			rule := map[string]any{"kind": rapid.SampledFrom(kinds).Draw(t, "kind"), "name": rapid.SampledFrom(names).Draw(t, "name")}
			maybe(t, rule, "matches", func() any {
				return listOf(t, "matches", 1, func() any { return rapid.SampledFrom([]any{"m", "n"}).Draw(t, "match") })
			})
			return rule
		})
	}
	if ported {
		maybe(t, b, "sources", sources)
		maybe(t, b, "rules", rules)
		return b
	}
	b["sources"], b["rules"] = sources(), rules()
	return b
}

func randomGroup(t *rapid.T, version string) body {
	return body{"matches": listOf(t, "matches", 3, func() any {
		match := map[string]any{"name": rapid.SampledFrom([]any{"m", "n"}).Draw(t, "name")}
		maybe(t, match, "pathRegex", func() any { return rapid.SampledFrom([]any{"/a", "/.*", ".*", ""}).Draw(t, "path") })
		maybe(t, match, "methods", func() any {
			return listOf(t, "methods", 2, func() any { return rapid.SampledFrom([]any{"*", "GET", "POST"}).Draw(t, "method") })
		})
		if version != "v1alpha1" {
			maybe(t, match, "headers", func() any {
				return rapid.SampledFrom([]any{
					map[string]any{},
					[]any{},
					"oops",
					[]any{map[string]any{}},
					map[string]any{"x": "1"},
					[]any{map[string]any{"x": "1"}, map[string]any{"y": "1"}},
				}).Draw(t, "headers")
			})
		}
		return match
	})}
}

func randomRoute(t *rapid.T, version string) body {
	if version != "v1alpha4" {
		return body{}
	}
	matches := map[string]any{"ports": listOf(t, "ports", 2, func() any { return rapid.SampledFrom([]any{int64(80), int64(90)}).Draw(t, "port") })}
	maybe(t, matches, "name", func() any { return "n" })
	return body{"matches": matches}
}
