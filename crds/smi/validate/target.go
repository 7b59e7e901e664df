package validate

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
)

// TrafficTarget judges a target.
func TrafficTarget(target *accessv1alpha3.TrafficTarget) Result {
	var r Result
	spec := field.NewPath("spec")
	destination := target.Spec.Destination
	if r.subject(spec.Child("destination"), destination, "nothing is granted") &&
		destination.Namespace != "" && target.Namespace != "" && destination.Namespace != target.Namespace {
		r.warnf(spec.Child("destination", "namespace"), destination.Namespace, heddlev1alpha1.ReasonCrossNamespaceDestination,
			"nothing is granted: only a TrafficTarget in namespace %s can open its service accounts; move this one there", destination.Namespace)
	}
	var refs Result
	for i, source := range target.Spec.Sources {
		refs.subject(spec.Child("sources").Index(i), source, "it admits nobody")
	}
	for i, rule := range target.Spec.Rules {
		refs.rule(spec.Child("rules").Index(i), rule)
	}
	r.add(refs)
	if len(target.Spec.Sources) == 0 {
		r.warnf(spec.Child("sources"), nil, unconditional,
			"there are none, so the destination is closed and nobody is admitted; name a service account")
	}
	if len(target.Spec.Rules) == 0 {
		r.warnf(spec.Child("rules"), nil, unconditional,
			"there are none, so the destination is closed and nothing is allowed; name a route")
	}
	return r
}

// subject judges one end of a target; false if it is nobody.
func (r *Result) subject(at *field.Path, s accessv1alpha3.IdentityBindingSubject, consequence string) bool {
	if s.Kind != accessv1alpha3.KindServiceAccount {
		r.refusef(at.Child("kind"), s.Kind, heddlev1alpha1.ReasonInvalidKind,
			"%s is not %s, so %s; name a service account", quoted(s.Kind), accessv1alpha3.KindServiceAccount, consequence)
		return false
	}
	ok := r.named(at.Child("name"), s.Name, "service account", isObjectName)
	if s.Namespace != "" {
		ok = r.named(at.Child("namespace"), s.Namespace, "namespace", isServiceName) && ok
	}
	return ok
}

func (r *Result) rule(at *field.Path, rule accessv1alpha3.TrafficTargetRule) {
	switch rule.Kind {
	case accessv1alpha3.KindHTTPRouteGroup:
		r.named(at.Child("name"), rule.Name, rule.Kind, isObjectName)
		for i, match := range rule.Matches {
			if match == "" {
				r.refusef(at.Child("matches").Index(i), nil, heddlev1alpha1.ReasonInvalid, "it is empty; name a match of the group")
			}
		}
		return
	case accessv1alpha3.KindTCPRoute:
		route, _, limited, ok := accessv1alpha3.PortLimit(rule.Name)
		switch {
		case !ok:
			r.refusef(at.Child("name"), rule.Name, heddlev1alpha1.ReasonInvalid,
				"%s is neither a TCPRoute nor one with a port; write NAME, NAME:PORT or :PORT", quoted(rule.Name))
		case !limited || route != "":
			r.named(at.Child("name"), route, rule.Kind, isObjectName)
		}
	case accessv1alpha3.KindUDPRoute:
		r.named(at.Child("name"), rule.Name, rule.Kind, isObjectName)
		r.warnf(at.Child("kind"), rule.Kind, heddlev1alpha1.ReasonUnsupported, "%s is not enforced, so it grants nothing; remove the rule", rule.Kind)
	default:
		r.refusef(at.Child("kind"), rule.Kind, heddlev1alpha1.ReasonInvalidKind,
			"%s is no kind of route, so it grants nothing; use %s or %s", quoted(rule.Kind), accessv1alpha3.KindHTTPRouteGroup, accessv1alpha3.KindTCPRoute)
	}
	if len(rule.Matches) > 0 {
		r.warnf(at.Child("matches"), nil, unconditional, "only %s has matches to pick from, and these have no effect; remove them", accessv1alpha3.KindHTTPRouteGroup)
	}
}
