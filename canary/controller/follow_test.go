package controller

import (
	"strings"
	"testing"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// What sidecars tell ends a release between two checks, when one failed check more
// would.
func TestALostCheckIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...) // its threshold is 2
	w.until("Idle")
	w.release("v2")
	w.until("Progressing")
	for w.canary().Step == 0 {
		w.tick()
	}
	if len(w.follow) > 0 {
		t.Fatal("followed though one failed check more is let pass")
	}
	w.sample.Bad = 20
	w.tick()
	if s := w.canary(); s.Failures != 1 || s.Phase != "Progressing" {
		t.Fatalf("status = %+v", s)
	}
	w.sample.Bad = 0
	if got := w.follow[len(w.follow)-1]; !got.Selector.Matches(labelsOf("cart")) || got.Selector.Matches(labelsOf("cart-primary")) || got.Limits.SuccessRate != 99 {
		t.Errorf("follows %+v", got)
	}
	w.lost = "9 of 9 requests failed"
	w.step()
	if s := w.canary(); s.Phase != "RollingBack" || s.Weight != 0 || !strings.Contains(s.Message, w.lost) {
		t.Errorf("status = %+v", s)
	}
	if w.follow != nil {
		t.Error("still followed")
	}
	w.until("Failed")
	w.serves("v1")
}

// A comparison has a proof of its own.
func TestComparisonsAreNotCutShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	c := &heddlev1alpha1.Canary{}
	w.get("cart", c)
	c.Spec.Analysis.Comparison, c.Spec.Analysis.Threshold = &heddlev1alpha1.CanaryComparison{}, 1
	if err := w.client.Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.until("Idle")
	w.release("v2")
	for w.canary().Step == 0 {
		w.tick()
	}
	if len(w.follow) > 0 {
		t.Errorf("follows %+v", w.follow)
	}
}
