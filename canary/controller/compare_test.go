package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// compared is a world whose canary is compared with the primary, at step 1 of a
// release.
func compared(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, cart()...)
	canary := &heddlev1alpha1.Canary{}
	w.get("cart", canary)
	canary.Spec.Analysis.Comparison = &heddlev1alpha1.CanaryComparison{}
	if err := w.client.Update(w.Context(), canary); err != nil {
		t.Fatal(err)
	}
	w.until("Idle")
	w.release("v2")
	w.until("Progressing")
	w.tick()
	return w
}

func TestComparedReleases(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		look    analysis.Look
		ends    heddlev1alpha1.CanaryPhase
		weights []int32
		says    string
	}{
		"promotes the equal of the primary": {
			analysis.Look{Canary: engine.Counts{Requests: 80}, Primary: engine.Counts{Requests: 300}, SlowKnown: true},
			"Succeeded",
			[]int32{20, 60, 0},
			"was promoted",
		},
		"promotes what fails as often as a failing primary": {
			analysis.Look{Canary: engine.Counts{Requests: 2000, Errors: 200}, Primary: engine.Counts{Requests: 8000, Errors: 800}, SlowKnown: true},
			"Succeeded",
			[]int32{20, 60, 0},
			"was promoted",
		},
		"rolls back at the first look that proves harm": {
			analysis.Look{Canary: engine.Counts{Requests: 80, Errors: 20}, Primary: engine.Counts{Requests: 300}, SlowKnown: true},
			"Failed",
			[]int32{0},
			"25.00 % errors, primary 0.00 % (80 and 300 requests)",
		},
		"rolls back what is slow": {
			analysis.Look{Canary: engine.Counts{Requests: 80, Slow: 60}, Primary: engine.Counts{Requests: 300, Slow: 3}, SlowKnown: true},
			"Failed",
			[]int32{0},
			"75.00 % slow",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := compared(t)
			w.look = tc.look
			if got := w.until(tc.ends); !slices.Equal(got, tc.weights) {
				t.Errorf("weights = %v, want %v", got, tc.weights)
			}
			if s := w.canary(); !strings.Contains(s.Message, tc.says) {
				t.Errorf("message %q lacks %q", s.Message, tc.says)
			}
		})
	}
}

// TestCaseO45_NobodyCallsWhileComparing: without requests a compared release stays
// where it is and says so once, until the deadline.
func TestCaseO45_NobodyCallsWhileComparing(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{"no requests": nil, "no Prometheus": errors.New("down")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := compared(t)
			w.broken = broken
			for range 20 {
				w.tick()
			}
			if s := w.canary(); s.Weight != 20 || s.Failures != 0 || s.Phase != "Progressing" {
				t.Errorf("status = %+v", s)
			}
			w.until("Failed")
			said := 0
			for _, reason := range w.events {
				if reason == "NoMetricData" {
					said++
				}
			}
			if said != 1 {
				t.Errorf("said %d times that there is no data: %v", said, w.events)
			}
			if s := w.canary(); !strings.Contains(s.Message, "no progress within 10m0s: ") {
				t.Errorf("message = %q", s.Message)
			}
		})
	}
}

// TestLittleTrafficHolds: few requests move nothing until they are enough, and
// what was counted outlives the controller.
func TestLittleTrafficHolds(t *testing.T) {
	t.Parallel()
	w := compared(t)
	w.look = analysis.Look{Canary: engine.Counts{Requests: 5}, Primary: engine.Counts{Requests: 20}, SlowKnown: true}
	looks := 0
	for w.canary().Weight == 20 {
		r := *w.r
		w.r = &r // a new leader
		w.tick()
		if looks++; looks > 100 {
			t.Fatalf("never enough: %+v", w.canary())
		}
	}
	e := w.canary().Evidence
	if looks < 5 || e == nil || e.Canary.Requests != int64(5*looks) || len(e.Errors.Safe) != 0 || len(e.Errors.Worse) == 0 {
		t.Errorf("after %d looks: %+v", looks, e)
	}
	if slices.Contains(w.events, "NoMetricData") {
		t.Errorf("events = %v", w.events)
	}
}
