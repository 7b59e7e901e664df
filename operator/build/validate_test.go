package build

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The build refuses nothing by itself that validation lets in, but for what it
// warns of; and accepts nothing that validation refuses.
func TestAcceptedIsWhatValidationSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objects := anyObjects(t)
		judged := map[[3]string]validate.Result{}
		for _, o := range objects.TrafficSplits {
			judged[[3]string{"TrafficSplit", o.Namespace, o.Name}] = validate.TrafficSplit(o)
		}
		for _, o := range objects.TrafficTargets {
			judged[[3]string{"TrafficTarget", o.Namespace, o.Name}] = validate.TrafficTarget(o)
		}
		for _, o := range objects.HTTPRouteGroups {
			judged[[3]string{accessv1alpha3.KindHTTPRouteGroup, o.Namespace, o.Name}] = validate.HTTPRouteGroup(o)
		}
		for _, o := range objects.TCPRoutes {
			judged[[3]string{accessv1alpha3.KindTCPRoute, o.Namespace, o.Name}] = validate.TCPRoute(o)
		}
		_, findings := Build(objects)
		for _, f := range findings {
			result, ok := judged[[3]string{f.Object.Kind, f.Object.Namespace, f.Object.Name}]
			if !ok {
				continue // a MeshConfig
			}
			agrees(t, f, result)
		}
	})
}

func agrees(t *rapid.T, f mesh.Finding, result validate.Result) {
	about := func(p validate.Problem) bool {
		return p.Ref == (f.Type == heddlev1alpha1.ConditionResolvedRefs) && (f.OK || p.Reason == f.Reason)
	}
	switch {
	case f.Type == heddlev1alpha1.ConditionAccepted && f.OK && slices.ContainsFunc(result.Errors, about):
		t.Errorf("%s is accepted in spite of %v", f.Object, result.Errors)
	case f.Type == heddlev1alpha1.ConditionAccepted && !f.OK && !slices.ContainsFunc(slices.Concat(result.Errors, result.Warnings), about):
		t.Errorf("%s is refused: %s %s; validation only says %+v", f.Object, f.Reason, f.Message, result)
	case f.Type == heddlev1alpha1.ConditionResolvedRefs && f.OK && slices.ContainsFunc(result.Errors, about):
		t.Errorf("references of %s are fine in spite of %v", f.Object, result.Errors)
	}
}
