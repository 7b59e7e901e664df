package build

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// routeGroup is what comes of an HTTPRouteGroup: the matches that can be used.
type routeGroup struct{ matches []mesh.HTTPMatch }

// applyRoutes takes in what splits and targets may refer to, and judges it by
// itself: a match that is wrong grants nothing, the others stand. Of UDPRoutes
// there is only to say that nothing comes of them.
func (s *step) applyRoutes(changes Changes) {
	for name, object := range changes.HTTPRouteGroups {
		key := specKey(name, accessv1alpha3.KindHTTPRouteGroup)
		if object != nil {
			s.applyGroup(name, object)
		} else {
			delete(s.groups, name)
			s.reports.Drop(key)
		}
		s.routeChanged(key)
	}
	for name, object := range changes.TCPRoutes {
		key := specKey(name, accessv1alpha3.KindTCPRoute)
		if object != nil {
			s.tcp[name] = object
			wrong, _ := told(validate.TCPRoute(object))
			s.say(specRef(key, object), wrong.accepted(specRef(key, object)))
		} else {
			delete(s.tcp, name)
			s.reports.Drop(key)
		}
		s.routeChanged(key)
	}
	for name, object := range changes.UDPRoutes {
		key := specKey(name, accessv1alpha3.KindUDPRoute)
		if object != nil {
			wrong, _ := told(validate.UDPRoute(object))
			s.say(specRef(key, object), wrong.accepted(specRef(key, object)))
		} else {
			s.reports.Drop(key)
		}
	}
}

func (s *step) applyGroup(name types.NamespacedName, object *specsv1alpha4.HTTPRouteGroup) {
	ref := specRef(specKey(name, accessv1alpha3.KindHTTPRouteGroup), object)
	group := &routeGroup{}
	var wrong problems
	for i, judged := range validate.HTTPMatches(object) {
		if match, err := httpMatch(object.Spec.Matches[i]); err == nil && len(judged.Errors) == 0 {
			group.matches = append(group.matches, match)
		}
		for _, p := range judged.Errors {
			wrong.addf(p.Reason, "%s; the match holds for no request", p)
		}
	}
	s.groups[name] = group
	s.say(ref, wrong.accepted(ref))
}

func (s *step) routeChanged(key mesh.ObjectKey) {
	s.staleRoots.addAll(s.rootsMatching.of(key))
	s.staleTargets.addAll(s.targetsBy.of(key))
}

// routeOf returns which route a rule means. A TCPRoute's name may carry a port.
func routeOf(namespace string, rule accessv1alpha3.TrafficTargetRule) mesh.ObjectKey {
	name := rule.Name
	if rule.Kind == accessv1alpha3.KindTCPRoute {
		if route, _, limited, ok := accessv1alpha3.PortLimit(name); ok && limited {
			name = route
		}
	}
	return specKey(types.NamespacedName{Namespace: namespace, Name: name}, rule.Kind)
}

// isThere is true if there is such a route.
func (s *step) isThere(key mesh.ObjectKey) bool {
	name, ok := types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, false
	switch key.Kind {
	case accessv1alpha3.KindHTTPRouteGroup:
		_, ok = s.groups[name]
	case accessv1alpha3.KindTCPRoute:
		_, ok = s.tcp[name]
	}
	return ok
}

// tcpPorts returns the ports that a rule means by the name of a TCPRoute, or that
// it means every port. The name may limit the route to one, as older versions
// of TrafficTarget do at the destination.
func (s *step) tcpPorts(namespace, name string) (ports []uint16, every, found bool) {
	name, limit, limited, ok := accessv1alpha3.PortLimit(name)
	if ok && limited && name == "" {
		return []uint16{uint16(limit)}, false, true
	}
	route, found := s.tcp[types.NamespacedName{Namespace: namespace, Name: name}]
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

func specKey(name types.NamespacedName, kind string) mesh.ObjectKey {
	return mesh.ObjectKey{Group: specsv1alpha4.GroupVersion.Group, Kind: kind, Namespace: name.Namespace, Name: name.Name}
}

func specRef(key mesh.ObjectKey, object client.Object) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: key.Group, Version: specsv1alpha4.GroupVersion.Version, Kind: key.Kind,
		Namespace: key.Namespace, Name: key.Name, Generation: object.GetGeneration(), UID: string(object.GetUID()),
	}
}
