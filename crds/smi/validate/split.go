package validate

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// TrafficSplit judges a split.
func TrafficSplit(split *splitv1alpha4.TrafficSplit) Result {
	var r Result
	spec := field.NewPath("spec")
	r.named(spec.Child("service"), split.Spec.Service, "Service", isServiceName)
	r.backends(spec.Child("backends"), split.Spec.Backends)
	r.cohort(split)
	var refs Result
	refs.matches(spec.Child("matches"), split.Spec.Matches)
	r.add(refs)
	return r
}

func (r *Result) matches(at *field.Path, matches []splitv1alpha4.TrafficSplitMatch) {
	named := map[string]bool{}
	for i, match := range matches {
		at := at.Index(i)
		switch {
		case !IsRouteGroup(match):
			r.refusef(at, match.Kind, heddlev1alpha1.ReasonInvalidKind,
				"%s of %s is not %s of %s and matches nothing; name one that is", quoted(match.Kind), quoted(groupOf(match)),
				splitv1alpha4.KindHTTPRouteGroup, specsv1alpha4.GroupVersion.Group)
			continue
		case !r.named(at.Child("name"), match.Name, match.Kind, isObjectName):
			continue
		case named[match.Name]:
			r.warnf(at.Child("name"), match.Name, unconditional, "%s is named before; remove this one", quoted(match.Name))
		}
		named[match.Name] = true
	}
}

func (r *Result) backends(at *field.Path, backends []splitv1alpha4.TrafficSplitBackend) {
	named := map[string]bool{}
	for i, backend := range backends {
		at := at.Index(i)
		if backend.Weight < 0 {
			r.refusef(at.Child("weight"), backend.Weight, heddlev1alpha1.ReasonInvalidWeight, "%d is negative; use 0 or more", backend.Weight)
		}
		var ref Result
		usable := ref.named(at.Child("service"), backend.Service, "Service", isServiceName)
		r.add(ref)
		if !usable {
			continue
		}
		if named[backend.Service] {
			r.warnf(at.Child("service"), backend.Service, unconditional,
				"Service %s is named before, and its weights add up; name it once", quoted(backend.Service))
		}
		named[backend.Service] = true
	}
	const consequence = "every request of the split is answered with 503; "
	switch {
	case len(backends) == 0:
		r.warnf(at, nil, heddlev1alpha1.ReasonNoBackends, "%s", consequence+"name at least one Service")
	case !slices.ContainsFunc(backends, func(b splitv1alpha4.TrafficSplitBackend) bool { return b.Weight != 0 }):
		r.warnf(at, nil, heddlev1alpha1.ReasonAllWeightsZero, "%s", consequence+"give one Service a weight above 0")
	}
}

// IsRouteGroup tells whether a match refers to the kind that matches may.
func IsRouteGroup(match splitv1alpha4.TrafficSplitMatch) bool {
	return match.Kind == splitv1alpha4.KindHTTPRouteGroup && groupOf(match) == specsv1alpha4.GroupVersion.Group
}

func groupOf(match splitv1alpha4.TrafficSplitMatch) string {
	if match.APIGroup == nil || *match.APIGroup == "" {
		return specsv1alpha4.GroupVersion.Group
	}
	return *match.APIGroup
}
