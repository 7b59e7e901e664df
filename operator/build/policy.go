package build

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// judgedTarget is a TrafficTarget and what comes of it.
type judgedTarget struct {
	object *accessv1alpha3.TrafficTarget
	id     mesh.Identity
	// acts is true for one that closes its destination, granted is nil if it
	// opens nothing.
	acts    bool
	granted *mesh.Grant
	// uses are the objects that have part in it.
	uses []mesh.ObjectKey
}

// applyTargets takes in targets, and which routes they name.
func (s *step) applyTargets(changes Of[*accessv1alpha3.TrafficTarget]) {
	for name, now := range changes {
		if before := s.targets[name]; before != nil {
			s.targetsOf.remove(before.id, name)
			linkRules(before.object, s.targetsBy.remove)
			s.useTarget(before, nil)
			s.staleIdentities.add(before.id)
			delete(s.targets, name)
			s.reports.Drop(refOfTarget(before.object).Key())
		}
		if now != nil {
			t := &judgedTarget{object: now, id: mesh.Identity{Namespace: now.Namespace, ServiceAccount: now.Spec.Destination.Name}}
			s.targetsOf.add(t.id, name)
			linkRules(now, s.targetsBy.add)
			s.targets[name] = t
			s.staleTargets.add(name)
		}
	}
	for name := range s.staleTargets {
		if t := s.targets[name]; t != nil {
			s.judge(t)
			s.staleIdentities.add(t.id)
		}
	}
}

func linkRules(object *accessv1alpha3.TrafficTarget, route func(mesh.ObjectKey, types.NamespacedName)) {
	for _, rule := range object.Spec.Rules {
		route(routeOf(object.Namespace, rule), types.NamespacedName{Namespace: object.Namespace, Name: object.Name})
	}
}

func refOfTarget(object *accessv1alpha3.TrafficTarget) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: accessv1alpha3.GroupVersion.Group, Version: accessv1alpha3.GroupVersion.Version, Kind: "TrafficTarget",
		Namespace: object.Namespace, Name: object.Name, Generation: object.Generation, UID: string(object.UID),
	}
}

// judge finds what comes of the target with the routes that there are.
func (s *step) judge(t *judgedTarget) {
	ref := refOfTarget(t.object)
	wrong, refs := told(validate.TrafficTarget(t.object))
	t.acts, t.granted = wrong.reason == "", nil
	if !t.acts { // who is its destination is not known, or not its to open
		s.useTarget(t, nil)
		s.say(ref, wrong.accepted(ref))
		return
	}
	uses := []mesh.ObjectKey{ref.Key()}
	for _, rule := range t.object.Spec.Rules {
		if route := routeOf(t.object.Namespace, rule); s.isThere(route) {
			uses = append(uses, route)
		}
	}
	s.useTarget(t, uses)
	if grant, ok := s.resolveRules(t.object, &refs); ok {
		grant.Origin, grant.Sources = ref.String(), sourcesOf(t.object)
		t.granted = &grant
	}
	s.say(ref, wrong.accepted(ref), refs.resolvedRefs(ref))
}

// useTarget replaces the objects that have part in the target.
func (s *step) useTarget(t *judgedTarget, uses []mesh.ObjectKey) {
	for _, object := range t.uses {
		s.identitiesUsing.remove(object, t.id)
	}
	for _, object := range uses {
		s.identitiesUsing.add(object, t.id)
	}
	s.staleUses.add(t.uses...)
	s.staleUses.add(uses...)
	t.uses = uses
}

// makePolicies gives every identity that a target names, or that a workload has,
// its policy. Access follows the namespace's mode.
func (s *step) makePolicies() {
	for id := range s.staleIdentities {
		access := s.accessIn(id.Namespace)
		policy, there := &mesh.Policy{Destination: id, Closed: access == mesh.Deny}, s.workloadsOf.any(id)
		for _, t := range s.targetsTo(id) {
			there = true
			policy.Closed = policy.Closed || access != mesh.Allow
			if t.granted != nil {
				policy.Grants = append(policy.Grants, *t.granted)
			}
		}
		before := s.policies.Get(id)
		if there {
			keep(s.policies, id, policy)
			if before == nil {
				s.identitiesIn.add(id.Namespace, id)
			}
		} else if before != nil {
			s.policies.Drop(id)
			s.identitiesIn.remove(id.Namespace, id)
		}
	}
}

// targetsTo returns the targets of the destination that act, by name.
func (s *step) targetsTo(id mesh.Identity) []*judgedTarget {
	var out []*judgedTarget
	for name := range s.targetsOf.of(id) {
		if t := s.targets[name]; t.acts {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(x, y *judgedTarget) int { return cmp.Compare(x.object.Name, y.object.Name) })
	return out
}

// sourcesOf returns the identities that the target names, ordered, each once.
func sourcesOf(target *accessv1alpha3.TrafficTarget) []mesh.Identity {
	var sources []mesh.Identity
	for _, source := range target.Spec.Sources {
		if source.Kind != accessv1alpha3.KindServiceAccount {
			continue
		}
		sources = append(sources, mesh.Identity{
			Namespace: cmp.Or(source.Namespace, target.Namespace), ServiceAccount: source.Name,
		})
	}
	slices.SortFunc(sources, mesh.Identity.Compare)
	return slices.Compact(sources)
}

// resolveRules returns what the rules grant, false if that is nothing. What
// can't be resolved grants nothing. Where both kinds of route stand in the
// list a request needs one of each.
func (s *step) resolveRules(target *accessv1alpha3.TrafficTarget, refs *problems) (mesh.Grant, bool) {
	var grant mesh.Grant
	wantHTTP, wantTCP, anyPort := false, false, false
	for i, rule := range target.Spec.Rules {
		key := types.NamespacedName{Namespace: target.Namespace, Name: rule.Name}
		switch rule.Kind {
		case accessv1alpha3.KindHTTPRouteGroup:
			wantHTTP = true
			group, ok := s.groups[key]
			if !ok {
				refs.addf(heddlev1alpha1.ReasonRouteNotFound, "spec.rules[%d]: there is no HTTPRouteGroup %s; create it", i, key)
				continue
			}
			found, missing := pick(group.matches, rule.Matches)
			grant.HTTP = append(grant.HTTP, found...)
			for _, name := range missing {
				refs.addf(heddlev1alpha1.ReasonMatchNotFound, "spec.rules[%d].matches: HTTPRouteGroup %s has no usable match %q", i, key, name)
			}
		case accessv1alpha3.KindTCPRoute:
			wantTCP = true
			ports, every, ok := s.tcpPorts(target.Namespace, rule.Name)
			if !ok {
				refs.addf(heddlev1alpha1.ReasonRouteNotFound, "spec.rules[%d]: there is no TCPRoute %s; create it", i, key)
				continue
			}
			anyPort = anyPort || every
			grant.Ports = append(grant.Ports, ports...)
		}
	}
	if (wantHTTP && len(grant.HTTP) == 0) || (wantTCP && !anyPort && len(grant.Ports) == 0) || (!wantHTTP && !wantTCP) {
		return mesh.Grant{}, false
	}
	if anyPort {
		grant.Ports = nil
	}
	slices.Sort(grant.Ports)
	grant.Ports = slices.Compact(grant.Ports)
	return grant, true
}
