package build

import (
	"cmp"
	"slices"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// policies gives every identity that a target names, or that a workload has,
// its policy. Access follows the namespace's mode.
func (b *builder) policies(routes routes) {
	b.snapshot.Policies = map[mesh.Identity]*mesh.Policy{}
	ordered := slices.Clone(b.objects.TrafficTargets)
	slices.SortFunc(ordered, func(x, y *accessv1alpha3.TrafficTarget) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	for _, workload := range b.snapshot.Workloads {
		b.policyOf(workload.Identity)
	}
	for _, target := range ordered {
		b.target(target, routes)
	}
}

func (b *builder) policyOf(id mesh.Identity) *mesh.Policy {
	policy := b.snapshot.Policies[id]
	if policy == nil {
		policy = &mesh.Policy{Destination: id, Closed: b.snapshot.AccessOf(id.Namespace) == mesh.Deny}
		b.snapshot.Policies[id] = policy
	}
	return policy
}

func (b *builder) target(target *accessv1alpha3.TrafficTarget, routes routes) {
	ref := mesh.ObjectRef{
		Group: accessv1alpha3.GroupVersion.Group, Version: accessv1alpha3.GroupVersion.Version, Kind: "TrafficTarget",
		Namespace: target.Namespace, Name: target.Name, Generation: target.Generation,
	}
	wrong, refs := told(validate.TrafficTarget(target))
	b.find(wrong.accepted(ref))
	if wrong.reason != "" {
		return // who is its destination is not known, or not its to open
	}
	id := mesh.Identity{Namespace: target.Namespace, ServiceAccount: target.Spec.Destination.Name}
	b.useIdentity(ref, id)
	for _, rule := range target.Spec.Rules {
		if route, ok := routes.refs[routeKey{rule.Kind, target.Namespace, rule.Name}]; ok {
			b.useIdentity(route, id)
		}
	}
	policy := b.policyOf(id)
	if b.snapshot.AccessOf(target.Namespace) != mesh.Allow {
		policy.Closed = true
	}

	grant, ok := resolveRules(target, routes, &refs)
	grant.Origin = ref.String()
	grant.Sources = sourcesOf(target)
	if ok {
		policy.Grants = append(policy.Grants, grant)
	}
	b.find(refs.resolvedRefs(ref))
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
func resolveRules(target *accessv1alpha3.TrafficTarget, routes routes, refs *problems) (mesh.Grant, bool) {
	var grant mesh.Grant
	wantHTTP, wantTCP, anyPort := false, false, false
	for i, rule := range target.Spec.Rules {
		key := target.Namespace + "/" + rule.Name
		switch rule.Kind {
		case accessv1alpha3.KindHTTPRouteGroup:
			wantHTTP = true
			matches, ok := routes.http[key]
			if !ok {
				refs.addf(heddlev1alpha1.ReasonRouteNotFound, "spec.rules[%d]: there is no HTTPRouteGroup %s; create it", i, key)
				continue
			}
			found, missing := pick(matches, rule.Matches)
			grant.HTTP = append(grant.HTTP, found...)
			for _, name := range missing {
				refs.addf(heddlev1alpha1.ReasonMatchNotFound, "spec.rules[%d].matches: HTTPRouteGroup %s has no usable match %q", i, key, name)
			}
		case accessv1alpha3.KindTCPRoute:
			wantTCP = true
			ports, every, ok := routes.portsOf(target.Namespace, rule.Name)
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
