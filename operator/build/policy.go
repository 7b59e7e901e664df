package build

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// maxRegex bounds expressions, as the schema does for paths.
const maxRegex = 1024

// policies gives every identity that a target names, or that a workload has,
// its policy. Access follows the namespace's mode.
func (b *builder) policies() {
	b.snapshot.Policies = map[mesh.Identity]*mesh.Policy{}
	groups := make(map[string]*specsv1alpha4.HTTPRouteGroup, len(b.objects.HTTPRouteGroups))
	for _, g := range b.objects.HTTPRouteGroups {
		groups[g.Namespace+"/"+g.Name] = g
		b.routeGroup(g)
	}
	routes := make(map[string]*specsv1alpha4.TCPRoute, len(b.objects.TCPRoutes))
	for _, r := range b.objects.TCPRoutes {
		routes[r.Namespace+"/"+r.Name] = r
		b.find(accepted(specRef(r.Namespace, r.Name, "TCPRoute", r.Generation)))
	}
	ordered := slices.Clone(b.objects.TrafficTargets)
	slices.SortFunc(ordered, func(x, y *accessv1alpha3.TrafficTarget) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	for _, workload := range b.snapshot.Workloads {
		b.policyOf(workload.Identity)
	}
	for _, target := range ordered {
		b.target(target, groups, routes)
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

func (b *builder) target(target *accessv1alpha3.TrafficTarget, groups map[string]*specsv1alpha4.HTTPRouteGroup, routes map[string]*specsv1alpha4.TCPRoute) {
	ref := mesh.ObjectRef{
		Group: accessv1alpha3.GroupVersion.Group, Version: accessv1alpha3.GroupVersion.Version, Kind: "TrafficTarget",
		Namespace: target.Namespace, Name: target.Name, Generation: target.Generation,
	}
	destination := target.Spec.Destination
	if destination.Kind != accessv1alpha3.KindServiceAccount {
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: heddlev1alpha1.ReasonInvalidKind,
			Message: fmt.Sprintf("spec.destination.kind: %q is not ServiceAccount; nothing is granted", destination.Kind),
		})
		return
	}
	if destination.Namespace != "" && destination.Namespace != target.Namespace {
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: heddlev1alpha1.ReasonCrossNamespaceDestination,
			Message: fmt.Sprintf("spec.destination.namespace: only a TrafficTarget in namespace %s can open its service accounts; move this one there", destination.Namespace),
		})
		return
	}
	b.find(accepted(ref))
	policy := b.policyOf(mesh.Identity{Namespace: target.Namespace, ServiceAccount: destination.Name})
	if b.snapshot.AccessOf(target.Namespace) != mesh.Allow {
		policy.Closed = true
	}

	grants, reason, problems := resolveRules(target, groups, routes)
	var sources []mesh.Identity
	for i, source := range target.Spec.Sources {
		if source.Kind != accessv1alpha3.KindServiceAccount {
			reason = cmp.Or(reason, heddlev1alpha1.ReasonInvalidKind)
			problems = append(problems, fmt.Sprintf("spec.sources[%d].kind: %q is not ServiceAccount and admits nobody", i, source.Kind))
			continue
		}
		sources = append(sources, mesh.Identity{
			Namespace: cmp.Or(source.Namespace, target.Namespace), ServiceAccount: source.Name,
		})
	}
	slices.SortFunc(sources, mesh.Identity.Compare)
	sources = slices.Compact(sources)
	for _, grant := range grants {
		grant.Origin = ref.String()
		grant.Sources = sources
		policy.Grants = append(policy.Grants, grant)
	}
	if len(problems) > 0 {
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, Reason: reason, Message: strings.Join(problems, "; "),
		})
		return
	}
	b.find(resolved(ref))
}

// resolveRules returns what the rules grant. What can't be resolved grants
// nothing. Where both kinds of route stand in the list a request needs one of
// each.
func resolveRules(target *accessv1alpha3.TrafficTarget, groups map[string]*specsv1alpha4.HTTPRouteGroup, routes map[string]*specsv1alpha4.TCPRoute) (grants []mesh.Grant, reason string, problems []string) {
	fail := func(why, message string) {
		reason = cmp.Or(reason, why)
		problems = append(problems, message)
	}
	var matches []mesh.HTTPMatch
	var ports []uint16
	wantHTTP, wantTCP, anyPort := false, false, false
	for i, rule := range target.Spec.Rules {
		key := target.Namespace + "/" + rule.Name
		switch rule.Kind {
		case accessv1alpha3.KindHTTPRouteGroup:
			wantHTTP = true
			group, ok := groups[key]
			if !ok {
				fail(heddlev1alpha1.ReasonRouteNotFound, fmt.Sprintf("spec.rules[%d]: there is no HTTPRouteGroup %s; create it", i, key))
				continue
			}
			found, missing := pick(group, rule.Matches)
			matches = append(matches, found...)
			for _, name := range missing {
				fail(heddlev1alpha1.ReasonMatchNotFound, fmt.Sprintf("spec.rules[%d].matches: HTTPRouteGroup %s has no usable match %q", i, key, name))
			}
		case accessv1alpha3.KindTCPRoute:
			wantTCP = true
			route, ok := routes[key]
			if !ok {
				fail(heddlev1alpha1.ReasonRouteNotFound, fmt.Sprintf("spec.rules[%d]: there is no TCPRoute %s; create it", i, key))
				continue
			}
			anyPort = anyPort || len(route.Spec.Matches.Ports) == 0
			for _, port := range route.Spec.Matches.Ports {
				if port > 0 && port <= 65535 {
					ports = append(ports, uint16(port))
				}
			}
		default:
			fail(heddlev1alpha1.ReasonUnsupported, fmt.Sprintf("spec.rules[%d].kind: %s is not enforced; it grants nothing", i, rule.Kind))
		}
	}
	if (wantHTTP && len(matches) == 0) || (wantTCP && !anyPort && len(ports) == 0) || (!wantHTTP && !wantTCP) {
		return nil, reason, problems
	}
	if anyPort {
		ports = nil
	}
	slices.Sort(ports)
	return []mesh.Grant{{Ports: slices.Compact(ports), HTTP: matches}}, reason, problems
}

// pick returns the named matches of the group, or all if none is named, and
// the names that can't be used.
func pick(group *specsv1alpha4.HTTPRouteGroup, names []string) (found []mesh.HTTPMatch, missing []string) {
	byName := map[string][]mesh.HTTPMatch{}
	for _, m := range group.Spec.Matches {
		match, err := httpMatch(m)
		if err != nil {
			continue
		}
		byName[m.Name] = append(byName[m.Name], match)
		if len(names) == 0 {
			found = append(found, match)
		}
	}
	for _, name := range names {
		if matches, ok := byName[name]; ok {
			found = append(found, matches...)
		} else {
			missing = append(missing, name)
		}
	}
	return found, missing
}

func httpMatch(m specsv1alpha4.HTTPMatch) (mesh.HTTPMatch, error) {
	out := mesh.HTTPMatch{Name: m.Name, PathRegex: m.PathRegex}
	if err := checkRegex(m.PathRegex); err != nil {
		return out, fmt.Errorf("pathRegex: %w", err)
	}
	if !slices.Contains(m.Methods, specsv1alpha4.MethodAny) {
		out.Methods = slices.Clone(m.Methods)
	}
	if m.Headers == nil {
		return out, nil
	}
	conditions, err := m.Headers.Conditions()
	if err != nil {
		return out, fmt.Errorf("headers: %w", err)
	}
	for _, c := range conditions {
		if err := checkRegex(c.Regex); err != nil {
			return out, fmt.Errorf("headers[%s]: %w", c.Name, err)
		}
		out.Headers = append(out.Headers, mesh.HeaderMatch{Name: strings.ToLower(c.Name), Regex: c.Regex})
	}
	return out, nil
}

func checkRegex(expression string) error {
	if len(expression) > maxRegex {
		return fmt.Errorf("longer than %d bytes", maxRegex)
	}
	_, err := regexp.Compile(expression)
	return err
}

// routeGroup judges the group by itself; a match that is wrong grants
// nothing, the others stand.
func (b *builder) routeGroup(group *specsv1alpha4.HTTPRouteGroup) {
	ref := specRef(group.Namespace, group.Name, "HTTPRouteGroup", group.Generation)
	for i, m := range group.Spec.Matches {
		if _, err := httpMatch(m); err != nil {
			b.find(mesh.Finding{
				Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: heddlev1alpha1.ReasonInvalidRegex,
				Message: fmt.Sprintf("spec.matches[%d] (%s): %v; this match admits nothing", i, m.Name, err),
			})
			return
		}
	}
	b.find(accepted(ref))
}

func specRef(namespace, name, kind string, generation int64) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: specsv1alpha4.GroupVersion.Group, Version: specsv1alpha4.GroupVersion.Version, Kind: kind,
		Namespace: namespace, Name: name, Generation: generation,
	}
}
