package convert

import (
	specsv1alpha1 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha1"
	specsv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// HTTPRouteGroup learned headers in v1alpha2 and got a spec in v1alpha3.
var (
	groupPaths = &dialect{
		name: "v1alpha1",
		spec: func() any {
			return new(struct {
				Matches []specsv1alpha1.HTTPMatch `json:"matches"`
			})
		},
		up: func(b body) body { return b }, down: groupWithoutHeaders,
	}
	groupHeaders = &dialect{
		name: "v1alpha4", spec: func() any { return new(specsv1alpha4.HTTPRouteGroupSpec) },
	}
	groups = kind{
		resource: "httproutegroups",
		newest:   groupHeaders,
		older:    []*dialect{groupPaths},
		versions: map[string]version{
			"v1alpha1": {onTop{"matches": "matches"}, groupPaths},
			"v1alpha2": {onTop{"matches": "matches"}, nil},
			"v1alpha3": {inSpec{}, nil},
			"v1alpha4": {inSpec{}, nil},
		},
	}
)

// TCPRoute had nothing to say until v1alpha4 named ports. The older versions
// show every port; what keeps their readers from more than was granted is how
// a TrafficTarget is shown to them.
var (
	routeOfAll = &dialect{
		name: "v1alpha3", spec: func() any { return new(specsv1alpha3.TCPRouteSpec) },
		up: func(body) body {
			return body{"matches": map[string]any{"ports": []any{}}}
		},
		down: func(body) body { return body{} },
	}
	routePorts = &dialect{
		name: "v1alpha4", spec: func() any { return new(specsv1alpha4.TCPRouteSpec) },
	}
	routes = kind{
		resource: "tcproutes",
		newest:   routePorts,
		older:    []*dialect{routeOfAll},
		versions: map[string]version{
			"v1alpha1": {onTop{}, routeOfAll},
			"v1alpha2": {onTop{}, routeOfAll},
			"v1alpha3": {inSpec{}, routeOfAll},
			"v1alpha4": {inSpec{}, nil},
		},
	}
)

// noPath matches no text at all, in RE2 and in what else there is.
const noPath = `[^\s\S]`

// groupWithoutHeaders keeps every match and its name. One with headers would
// match requests that it isn't meant for, so it gets a path that none has.
// Paths and methods are spelt out, as v1alpha1 wants them.
func groupWithoutHeaders(b body) body {
	matches := keep(b["matches"], func(any) bool { return true })
	for i, match := range matches {
		fields, ok := match.(map[string]any)
		if !ok {
			continue
		}
		headers, limited := fields["headers"]
		plain := without(fields, "headers")
		if path, _ := plain["pathRegex"].(string); path == "" {
			plain["pathRegex"] = ".*"
		}
		if methods, _ := plain["methods"].([]any); len(methods) == 0 {
			plain["methods"] = []any{"*"}
		}
		if limited && !empty(headers) {
			plain["pathRegex"] = noPath
		}
		matches[i] = plain
	}
	return with(b, "matches", matches)
}

// empty tells whether headers of either form ask for nothing.
func empty(headers any) bool {
	switch headers := headers.(type) {
	case nil:
		return true
	case map[string]any:
		return len(headers) == 0
	case []any:
		return len(headers) == 0
	default:
		return false
	}
}
