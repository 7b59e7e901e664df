package build

import (
	"slices"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// routes are what the rules of targets may refer to, by namespace/name.
type routes struct {
	// http are the matches of each HTTPRouteGroup that can be used.
	http map[string][]mesh.HTTPMatch
	tcp  map[string]*specsv1alpha4.TCPRoute
	// refs names the objects themselves.
	refs map[routeKey]mesh.ObjectRef
}

// routeKey is how a rule names a route.
type routeKey struct{ kind, namespace, name string }

// routes judges the groups by themselves: a match that is wrong grants
// nothing, the others stand. Of UDPRoutes there is only to say that nothing
// comes of them.
func (b *builder) routes() routes {
	out := routes{
		http: make(map[string][]mesh.HTTPMatch, len(b.objects.HTTPRouteGroups)),
		tcp:  make(map[string]*specsv1alpha4.TCPRoute, len(b.objects.TCPRoutes)),
		refs: make(map[routeKey]mesh.ObjectRef, len(b.objects.HTTPRouteGroups)+len(b.objects.TCPRoutes)),
	}
	for _, group := range b.objects.HTTPRouteGroups {
		var usable []mesh.HTTPMatch
		var wrong problems
		for i, judged := range validate.HTTPMatches(group) {
			if match, err := httpMatch(group.Spec.Matches[i]); err == nil && len(judged.Errors) == 0 {
				usable = append(usable, match)
			}
			for _, p := range judged.Errors {
				wrong.addf(p.Reason, "%s; the match holds for no request", p)
			}
		}
		out.http[group.Namespace+"/"+group.Name] = usable
		ref := specRef(group.Namespace, group.Name, accessv1alpha3.KindHTTPRouteGroup, group.Generation)
		out.refs[routeKey{ref.Kind, ref.Namespace, ref.Name}] = ref
		b.find(wrong.accepted(ref))
	}
	for _, route := range b.objects.TCPRoutes {
		out.tcp[route.Namespace+"/"+route.Name] = route
		ref := specRef(route.Namespace, route.Name, accessv1alpha3.KindTCPRoute, route.Generation)
		out.refs[routeKey{ref.Kind, ref.Namespace, ref.Name}] = ref
		wrong, _ := told(validate.TCPRoute(route))
		b.find(wrong.accepted(ref))
	}
	for _, route := range b.objects.UDPRoutes {
		wrong, _ := told(validate.UDPRoute(route))
		b.find(wrong.accepted(specRef(route.Namespace, route.Name, accessv1alpha3.KindUDPRoute, route.Generation)))
	}
	return out
}

// portsOf returns the ports that a rule means by the name of a TCPRoute, or that
// it means every port. The name may limit the route to one, as older versions
// of TrafficTarget do at the destination.
func (r routes) portsOf(namespace, name string) (ports []uint16, every, found bool) {
	name, limit, limited, ok := accessv1alpha3.PortLimit(name)
	if ok && limited && name == "" {
		return []uint16{uint16(limit)}, false, true
	}
	route, found := r.tcp[namespace+"/"+name]
	if !ok || !found {
		return nil, false, false
	}
	allowed := route.Spec.Matches.Ports
	if len(allowed) == 0 && !limited {
		return nil, true, true
	}
	if len(allowed) == 0 {
		allowed = []int{limit}
	}
	for _, port := range allowed {
		if port > 0 && port <= 65535 && (!limited || port == limit) {
			ports = append(ports, uint16(port))
		}
	}
	return ports, false, true
}

// pick returns the matches with the names, or all if none is named, and the
// names of which there is none.
func pick(matches []mesh.HTTPMatch, names []string) (found []mesh.HTTPMatch, missing []string) {
	if len(names) == 0 {
		return matches, nil
	}
	for _, name := range names {
		before := len(found)
		for _, match := range matches {
			if match.Name == name {
				found = append(found, match)
			}
		}
		if len(found) == before {
			missing = append(missing, name)
		}
	}
	return found, missing
}

// httpMatch returns an error for headers that can't be understood in full:
// understood in part they would admit more.
func httpMatch(m specsv1alpha4.HTTPMatch) (mesh.HTTPMatch, error) {
	match := mesh.HTTPMatch{Name: m.Name, PathRegex: m.PathRegex}
	if !slices.Contains(m.Methods, specsv1alpha4.MethodAny) {
		match.Methods = slices.Clone(m.Methods)
	}
	conditions, err := m.Headers.Conditions()
	for _, c := range conditions {
		match.Headers = append(match.Headers, mesh.HeaderMatch{Name: c.Name, Regex: c.Regex})
	}
	return match, err
}

func specRef(namespace, name, kind string, generation int64) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: specsv1alpha4.GroupVersion.Group, Version: specsv1alpha4.GroupVersion.Version, Kind: kind,
		Namespace: namespace, Name: name, Generation: generation,
	}
}
