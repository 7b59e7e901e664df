package build

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// applySplits takes in splits, and which roots they are about.
func (s *step) applySplits(changes Of[*splitv1alpha4.TrafficSplit]) {
	for name, now := range changes {
		if before := s.Builder.splits[name]; before != nil {
			s.splitsOf.remove(rootOf(before), name)
			linkRoot(before, s.rootsBehind.remove, s.rootsMatching.remove)
			s.staleRoots.add(rootOf(before))
			delete(s.Builder.splits, name)
			s.reports.Drop(refOfSplit(before).Key())
		}
		if now != nil {
			s.splitsOf.add(rootOf(now), name)
			linkRoot(now, s.rootsBehind.add, s.rootsMatching.add)
			s.staleRoots.add(rootOf(now))
			s.Builder.splits[name] = now
		}
	}
}

func rootOf(split *splitv1alpha4.TrafficSplit) mesh.ServiceKey {
	return mesh.ServiceKey{Namespace: split.Namespace, Name: split.Spec.Service}
}

// linkRoot calls the functions with what the split's root depends on.
func linkRoot(split *splitv1alpha4.TrafficSplit, backend func(mesh.ServiceKey, mesh.ServiceKey), group func(mesh.ObjectKey, mesh.ServiceKey)) {
	root := rootOf(split)
	for _, b := range split.Spec.Backends {
		backend(mesh.ServiceKey{Namespace: split.Namespace, Name: b.Service}, root)
	}
	for _, match := range split.Spec.Matches {
		group(groupOf(split, match), root)
	}
}

func groupOf(split *splitv1alpha4.TrafficSplit, match splitv1alpha4.TrafficSplitMatch) mesh.ObjectKey {
	return specKey(types.NamespacedName{Namespace: split.Namespace, Name: match.Name}, splitv1alpha4.KindHTTPRouteGroup)
}

func refOfSplit(split *splitv1alpha4.TrafficSplit) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: splitv1alpha4.GroupVersion.Group, Version: splitv1alpha4.GroupVersion.Version, Kind: "TrafficSplit",
		Namespace: split.Namespace, Name: split.Name, Generation: split.Generation, UID: string(split.UID),
	}
}

// makeRoots puts the routes of splits on the ports of their roots. Those with
// matches are tried in the order of their age; of those without, which would
// all take everything, the oldest acts.
func (s *step) makeRoots() {
	for key := range s.staleRoots {
		r := &root{step: s, key: key, service: s.Builder.services[key], uses: map[mesh.ObjectKey][]mesh.PortKey{}}
		splits := make([]*splitv1alpha4.TrafficSplit, 0, 1)
		for name := range s.splitsOf.of(key) {
			splits = append(splits, s.Builder.splits[name])
		}
		slices.SortFunc(splits, func(x, y *splitv1alpha4.TrafficSplit) int {
			return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
		})
		for _, split := range splits {
			r.split(split)
		}
		if r.service != nil {
			keep(s.services, key, r.service)
		} else {
			s.services.Drop(key)
		}
		s.useRoot(key, r.uses)
	}
}

// useRoot replaces what objects have part in at the root.
func (s *step) useRoot(root mesh.ServiceKey, uses map[mesh.ObjectKey][]mesh.PortKey) {
	for object := range s.usesOf[root] {
		s.rootsUsing.remove(object, root)
		s.staleUses.add(object)
	}
	for object := range uses {
		s.rootsUsing.add(object, root)
		s.staleUses.add(object)
	}
	if len(uses) > 0 {
		s.usesOf[root] = uses
	} else {
		delete(s.usesOf, root)
	}
}

// root is a service under way to its routes.
type root struct {
	*step
	key     mesh.ServiceKey
	service *mesh.Service
	// taken is the split that shares what no other matches.
	taken *splitv1alpha4.TrafficSplit
	uses  map[mesh.ObjectKey][]mesh.PortKey
}

func (r *root) split(split *splitv1alpha4.TrafficSplit) {
	ref := refOfSplit(split)
	wrong, refs := told(validate.TrafficSplit(split))
	if slices.ContainsFunc(split.Spec.Backends, func(b splitv1alpha4.TrafficSplitBackend) bool { return b.Weight < 0 }) {
		r.say(ref, wrong.accepted(ref)) // there are no shares
		return
	}
	route := &mesh.Route{Origin: ref.String(), Cohort: mesh.Cohort(validate.CohortOf(split))}
	uses := []mesh.ObjectKey{ref.Key()}
	if len(split.Spec.Matches) > 0 {
		var groups []mesh.ObjectKey
		route.Matches, groups = r.described(split, &refs)
		uses = append(uses, groups...)
	} else {
		if r.taken != nil {
			r.say(ref, wrong.accepted(ref), mesh.Finding{
				Object: ref, Type: heddlev1alpha1.ConditionConflicted, OK: true, Reason: heddlev1alpha1.ReasonOlderSplit,
				Message: fmt.Sprintf("TrafficSplit %s/%s is older and shares the traffic of Service %s; remove one of the two", r.taken.Namespace, r.taken.Name, r.key),
			})
			return
		}
		r.taken = split
	}
	// One that lets no request through acts all the same: giving them to the
	// root instead would undo what a weight of 0 says.
	r.route(split, route, uses, &refs)
	r.say(ref, wrong.accepted(ref), refs.resolvedRefs(ref))
}

// described returns the matches of all groups that the split names, and the
// groups. What can't be resolved describes no request: a split that has a
// reference wrong must not act on every request instead of a few.
func (s *step) described(split *splitv1alpha4.TrafficSplit, refs *problems) (matches []mesh.HTTPMatch, groups []mesh.ObjectKey) {
	for i, match := range split.Spec.Matches {
		if !validate.IsRouteGroup(match) {
			continue
		}
		group, ok := s.groups[types.NamespacedName{Namespace: split.Namespace, Name: match.Name}]
		switch {
		case !ok:
			refs.addf(heddlev1alpha1.ReasonRouteNotFound,
				"spec.matches[%d]: there is no HTTPRouteGroup %s/%s, which matches nothing; create it", i, split.Namespace, match.Name)
			continue
		case len(group.matches) == 0:
			refs.addf(heddlev1alpha1.ReasonMatchNotFound,
				"spec.matches[%d]: HTTPRouteGroup %s/%s has no usable match and matches nothing", i, split.Namespace, match.Name)
		}
		matches = append(matches, group.matches...)
		groups = append(groups, groupOf(split, match))
	}
	return matches, groups
}

// route puts the split's route on the ports of its root. The objects in uses
// have part in it.
func (r *root) route(split *splitv1alpha4.TrafficSplit, route *mesh.Route, uses []mesh.ObjectKey, refs *problems) {
	if r.service == nil {
		refs.addf(heddlev1alpha1.ReasonServiceNotFound, "spec.service: there is no Service %s with a TCP port; create it or name another", r.key)
		return
	}
	byMatch := len(split.Spec.Matches) > 0
	routed := make([]*mesh.Port, 0, len(r.service.Ports))
	for _, port := range r.service.Ports {
		with := *port
		routed = append(routed, &with)
		if byMatch && port.Protocol == mesh.ProtocolTCP {
			refs.addf(heddlev1alpha1.ReasonPortMismatch,
				"spec.matches: port %d of Service %s is TCP, and connections match nothing", port.Number, r.key)
			continue
		}
		own := *route
		own.Shares = r.share(split, port, refs)
		switch {
		case !byMatch:
			with.Route = &own
		case len(route.Matches) > 0:
			with.Matched = append(slices.Clone(port.Matched), &own)
		default:
			continue
		}
		for _, object := range uses {
			r.uses[object] = append(r.uses[object], port.Key)
		}
	}
	r.service = &mesh.Service{Key: r.service.Key, Addresses: r.service.Addresses, Ports: routed}
}
