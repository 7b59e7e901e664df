package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// shareOf is what those of the match and all others get of the candidate.
type shareOf struct {
	Matched, Others int
	Match           string
}

func (w *world) share() shareOf {
	w.Helper()
	some := &splitv1alpha4.TrafficSplit{}
	w.get("cart-match", some)
	return shareOf{some.Spec.Backends[1].Weight, w.split().Backends[1].Weight, some.Spec.Matches[0].Name}
}

// TestStepsByMatch: some see the candidate first, then a share of all others
// too, then there is no difference.
func TestStepsByMatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		bad  float64
		ends heddlev1alpha1.CanaryPhase
		want []shareOf
	}{
		"a good one goes to all": {0, "Succeeded", []shareOf{{100, 0, "insiders"}, {100, 20, "insiders"}, {60, 60, "insiders"}, {0, 0, "insiders"}}},
		"a bad one goes to none": {20, "Failed", []shareOf{{100, 0, "insiders"}, {0, 0, "insiders"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cart()...)
			w.edit(func(c *heddlev1alpha1.Canary) {
				insiders := &heddlev1alpha1.LocalReference{Name: "insiders"}
				c.Spec.Analysis.StepWeights = nil
				c.Spec.Analysis.Steps = []heddlev1alpha1.CanaryStep{{MatchRef: insiders}, {Weight: 20, MatchRef: insiders}, {Weight: 60}}
			})
			w.until("Idle")
			w.sample.Bad = tc.bad
			w.release("v2")
			w.until("Progressing")
			var got []shareOf
			for w.canary().Phase != tc.ends {
				w.tick()
				if w.canary().Step == 0 {
					continue
				}
				if s := w.share(); len(got) == 0 || got[len(got)-1] != s {
					got = append(got, s)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
