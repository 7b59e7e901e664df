package build

import (
	"cmp"
	"fmt"
	"slices"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// splits puts the routes of TrafficSplits on the ports of their roots. Those
// with matches are tried in the order of their age; of those without, which
// would all take everything, the oldest acts.
func (b *builder) splits(routes routes) {
	ordered := slices.Clone(b.objects.TrafficSplits)
	slices.SortFunc(ordered, func(x, y *splitv1alpha4.TrafficSplit) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	taken := map[mesh.ServiceKey]string{}
	for _, split := range ordered {
		b.split(split, taken, routes)
	}
}

func (b *builder) split(split *splitv1alpha4.TrafficSplit, taken map[mesh.ServiceKey]string, routes routes) {
	ref := mesh.ObjectRef{
		Group: splitv1alpha4.GroupVersion.Group, Version: splitv1alpha4.GroupVersion.Version, Kind: "TrafficSplit",
		Namespace: split.Namespace, Name: split.Name, Generation: split.Generation,
	}
	wrong, refs := told(validate.TrafficSplit(split))
	if slices.ContainsFunc(split.Spec.Backends, func(b splitv1alpha4.TrafficSplitBackend) bool { return b.Weight < 0 }) {
		b.find(wrong.accepted(ref)) // there are no shares
		return
	}
	route := &mesh.Route{Origin: ref.String()}
	uses := []mesh.ObjectRef{ref}
	if len(split.Spec.Matches) > 0 {
		var groups []mesh.ObjectRef
		route.Matches, groups = routes.described(split, &refs)
		uses = append(uses, groups...)
	} else {
		rootKey := mesh.ServiceKey{Namespace: split.Namespace, Name: split.Spec.Service}
		if winner, ok := taken[rootKey]; ok {
			b.find(wrong.accepted(ref))
			b.find(mesh.Finding{
				Object: ref, Type: heddlev1alpha1.ConditionConflicted, OK: true, Reason: heddlev1alpha1.ReasonOlderSplit,
				Message: fmt.Sprintf("TrafficSplit %s is older and shares the traffic of Service %s; remove one of the two", winner, rootKey),
			})
			return
		}
		taken[rootKey] = split.Namespace + "/" + split.Name
	}
	// One that lets no request through acts all the same: giving them to the
	// root instead would undo what a weight of 0 says.
	b.find(wrong.accepted(ref))
	b.route(split, route, uses, &refs)
	b.find(refs.resolvedRefs(ref))
}

// described returns the matches of all groups that the split names, and the
// groups. What can't be resolved describes no request: a split that has a
// reference wrong must not act on every request instead of a few.
func (r routes) described(split *splitv1alpha4.TrafficSplit, refs *problems) (matches []mesh.HTTPMatch, groups []mesh.ObjectRef) {
	for i, match := range split.Spec.Matches {
		if !validate.IsRouteGroup(match) {
			continue
		}
		found, ok := r.http[split.Namespace+"/"+match.Name]
		switch {
		case !ok:
			refs.addf(heddlev1alpha1.ReasonRouteNotFound,
				"spec.matches[%d]: there is no HTTPRouteGroup %s/%s, which matches nothing; create it", i, split.Namespace, match.Name)
			continue
		case len(found) == 0:
			refs.addf(heddlev1alpha1.ReasonMatchNotFound,
				"spec.matches[%d]: HTTPRouteGroup %s/%s has no usable match and matches nothing", i, split.Namespace, match.Name)
		}
		matches = append(matches, found...)
		groups = append(groups, r.refs[routeKey{splitv1alpha4.KindHTTPRouteGroup, split.Namespace, match.Name}])
	}
	return matches, groups
}

// route puts the split's route on the ports of its root. The objects in uses
// have part in it.
func (b *builder) route(split *splitv1alpha4.TrafficSplit, route *mesh.Route, uses []mesh.ObjectRef, refs *problems) {
	rootKey := mesh.ServiceKey{Namespace: split.Namespace, Name: split.Spec.Service}
	root := b.snapshot.Services[rootKey]
	if root == nil {
		refs.addf(heddlev1alpha1.ReasonServiceNotFound, "spec.service: there is no Service %s with a TCP port; create it or name another", rootKey)
		return
	}
	byMatch := len(split.Spec.Matches) > 0
	routed := make([]*mesh.Port, 0, len(root.Ports))
	for _, port := range root.Ports {
		with := *port
		routed = append(routed, &with)
		if byMatch && port.Protocol == mesh.ProtocolTCP {
			refs.addf(heddlev1alpha1.ReasonPortMismatch,
				"spec.matches: port %d of Service %s is TCP, and connections match nothing", port.Number, rootKey)
			continue
		}
		own := *route
		own.Shares = b.share(split, port, refs)
		switch {
		case !byMatch:
			with.Route = &own
		case len(route.Matches) > 0:
			with.Matched = append(slices.Clone(port.Matched), &own)
		default:
			continue
		}
		for _, ref := range uses {
			b.usePort(ref, port.Key)
		}
	}
	b.snapshot.Services[rootKey] = &mesh.Service{Key: root.Key, Addresses: root.Addresses, Ports: routed}
}
