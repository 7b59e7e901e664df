package controller

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// TestBlueGreen: a candidate without traffic is tried by hooks so many times,
// then it is promoted.
func TestBlueGreen(t *testing.T) {
	t.Parallel()
	w := hooked(t, "rollout")
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Spec.Analysis.StepWeights, c.Spec.Analysis.Steps = nil, []heddlev1alpha1.CanaryStep{{Iterations: 3}}
	})
	w.release("v2")
	if got := w.until("Succeeded"); !equal(got, 0) {
		t.Errorf("weights = %v", got)
	}
	w.serves("v2")
	if calls := w.called(""); len(calls) != 3 {
		t.Errorf("calls = %q, want 3", calls)
	}

	w.nos["rollout"] = errors.New("hook says no")
	w.release("v3")
	w.until("Failed")
	w.serves("v2")
}

func TestIterationsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Spec.Analysis.StepWeights, c.Spec.Analysis.Steps = nil, []heddlev1alpha1.CanaryStep{{Weight: 20, Iterations: 3}}
		c.Spec.Analysis.Threshold = 3
	})
	w.until("Idle")
	w.release("v2")
	w.until("Progressing")
	w.tick()
	for _, look := range []struct {
		bad          float64
		says         string
		passes, fail int32
	}{{0, "1 of 3 checks passed", 1, 0}, {20, "success rate 80.0 %", 1, 1}, {0, "2 of 3 checks passed", 2, 1}} {
		w.sample.Bad = look.bad
		w.tick()
		if s := w.canary(); !strings.Contains(s.Message, look.says) || s.Passes != look.passes || s.Failures != look.fail || s.Weight != 20 {
			t.Fatalf("status = %+v, want %+v", s, look)
		}
	}
	w.tick()
	if s := w.canary(); s.Phase != "Promoting" {
		t.Errorf("status = %+v", s)
	}
}

// TestProxiesFollowBeforeAStep: what is measured while some proxies share
// requests as before doesn't count.
func TestProxiesFollowBeforeAStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.until("Idle")
	w.release("v2")
	w.until("Progressing")
	w.tick()
	programmed := func(value metav1.ConditionStatus) {
		t.Helper()
		split := &splitv1alpha4.TrafficSplit{}
		w.get("cart", split)
		meta.SetStatusCondition(&split.Status.Conditions, metav1.Condition{
			Type: heddlev1alpha1.ConditionProgrammed, Status: value, Reason: "Any", ObservedGeneration: split.Generation,
		})
		if err := w.client.Update(t.Context(), split); err != nil {
			t.Fatal(err)
		}
	}
	programmed(metav1.ConditionFalse)
	for range 5 {
		w.tick()
	}
	if s := w.canary(); s.Weight != 20 || !strings.Contains(s.Message, "waiting for proxies") || s.Passes != 0 {
		t.Fatalf("status = %+v", s)
	}
	programmed(metav1.ConditionTrue)
	w.tick()
	if s := w.canary(); s.Weight != 60 {
		t.Errorf("status = %+v", s)
	}
}
