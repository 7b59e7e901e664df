package convert

import (
	"slices"
	"strings"

	accessv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha2"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
)

// TrafficTarget had a port at its destination until v1alpha3 left ports to
// TCPRoutes. To a reader of the older versions a TCPRoute is every port, and
// the rules are alternatives; in the newest a TCPRoute limits the
// HTTPRouteGroups beside it.
var (
	targetPort = &dialect{
		name: "v1alpha2", spec: func() any { return new(accessv1alpha2.TrafficTargetSpec) },
		up: limitRules, down: portOfRules,
	}
	targetRules = &dialect{
		name: "v1alpha3", spec: func() any { return new(accessv1alpha3.TrafficTargetSpec) },
	}
	targets = kind{
		resource: "traffictargets",
		newest:   targetRules,
		older:    []*dialect{targetPort},
		versions: map[string]version{
			"v1alpha1": {onTop{"destination": "destination", "sources": "sources", "rules": "specs"}, targetPort},
			"v1alpha2": {inSpec{}, targetPort},
			"v1alpha3": {inSpec{}, nil},
		},
	}
)

// limitRules moves the destination's port to the rules. A source that has a
// port is left out.
func limitRules(b body) body {
	out := with(b, "sources", keep(b["sources"], func(source any) bool { return fieldOf(source, "port") == nil }))
	rules := keep(b["rules"], func(rule any) bool { return isGroup(rule) || isTCPRoute(rule) && isObjectName(nameOf(rule)) })
	if destination, ok := b["destination"].(map[string]any); ok {
		if port, limited := destination["port"]; limited {
			rules = limitedTo(port, rules)
			out["destination"] = without(destination, "port")
		}
	}
	out["rules"] = rules
	return out
}

// limitedTo has every rule hold on one port only. A port that is none leaves
// no rule.
func limitedTo(port any, rules []any) []any {
	number, ok := port.(int64)
	if !ok || number < 1 || number > 65535 {
		return []any{}
	}
	out := make([]any, 0, len(rules)+1)
	for _, rule := range rules {
		if isTCPRoute(rule) {
			rule = with(rule.(map[string]any), "name", accessv1alpha3.LimitToPort(nameOf(rule), int(number)))
		}
		out = append(out, rule)
	}
	if len(rules) > 0 && !slices.ContainsFunc(rules, isTCPRoute) {
		out = append(out, map[string]any{"kind": accessv1alpha3.KindTCPRoute, "name": accessv1alpha3.LimitToPort("", int(number))})
	}
	return out
}

// portOfRules is the inverse where there is one: HTTPRouteGroups alone, or on
// one port. With other TCPRoutes no rule is left, since the ports are in the
// TCPRoutes and can't be told to a reader who takes them for every port.
func portOfRules(b body) body {
	groups, routes := keep(b["rules"], isGroup), keep(b["rules"], isTCPRoute)
	if len(routes) == 0 {
		return with(b, "rules", groups)
	}
	name := nameOf(routes[0])
	route, port, limited, ok := accessv1alpha3.PortLimit(name)
	alone := limited && ok && route == "" && !slices.ContainsFunc(routes, func(rule any) bool { return nameOf(rule) != name })
	destination, found := b["destination"].(map[string]any)
	if !alone || !found || len(groups) == 0 {
		return with(b, "rules", []any{})
	}
	out := with(b, "rules", groups)
	out["destination"] = with(destination, "port", int64(port))
	return out
}

func isGroup(rule any) bool    { return fieldOf(rule, "kind") == accessv1alpha3.KindHTTPRouteGroup }
func isTCPRoute(rule any) bool { return fieldOf(rule, "kind") == accessv1alpha3.KindTCPRoute }

// isObjectName tells whether an object could have the name: it has no port
// limit, which the older versions don't know.
func isObjectName(name string) bool { return name != "" && !strings.Contains(name, ":") }

func nameOf(rule any) string {
	name, _ := fieldOf(rule, "name").(string)
	return name
}
