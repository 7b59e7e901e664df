package main

import (
	"math"
	"os"
	"testing"

	"github.com/heddle-mesh/heddle/canary/engine"
)

// many is how many releases a test goes through.
func many() int {
	if os.Getenv("HEDDLE_LONG") != "" {
		return 10000
	}
	return 200
}

// TestFalseAlarms releases candidates that are no worse than they may be, and
// counts how many are rolled back. Alpha bounds it, whatever the traffic, also
// right at the edge of what is tolerated and in an outage that both share.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	for _, s := range []scenario{
		{name: "equal, 5 a minute", perMinute: 5, primary: 0.005, canary: 0.005, slow: 0.01, canarySlow: 0.01, patience: 600},
		{name: "equal, 100 a minute", perMinute: 100, primary: 0.005, canary: 0.005, slow: 0.01, canarySlow: 0.01, patience: 300},
		{name: "equal and bad", perMinute: 100, primary: 0.05, canary: 0.05, slow: 0.01, canarySlow: 0.01, patience: 300},
		{name: "equal, in an outage", perMinute: 100, primary: 0.005, canary: 0.005, slow: 0.01, canarySlow: 0.01, outageFrom: 10, outageUntil: 25, patience: 300},
		{name: "at the edge", perMinute: 100, primary: 0.005, canary: 0.015, slow: 0.01, canarySlow: 0.06, patience: 300},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			alarms, n := 0, many()
			for seed := range n {
				if s.release(uint64(seed), &comparison{limits: limits}).rolledBack { //nolint:gosec // counts from 0
					alarms++
				}
			}
			t.Logf("%d of %d rolled back", alarms, n)
			if allowed := limits.Alpha*float64(n) + 3*math.Sqrt(limits.Alpha*float64(n)); float64(alarms) > allowed {
				t.Errorf("%d false alarms in %d releases; alpha is %g", alarms, n, limits.Alpha)
			}
		})
	}
}

// TestHarmIsNotLetThrough: a candidate that is worse by as much as must not
// reach all clients isn't promoted, but with the probability alpha.
func TestHarmIsNotLetThrough(t *testing.T) {
	t.Parallel()
	s := scenario{perMinute: 100, primary: 0.005, canary: 0.015, slow: 0.01, canarySlow: 0.01, patience: 300}
	promoted, n := 0, many()
	for seed := range n {
		if s.release(uint64(seed), &comparison{limits: limits}).promoted { //nolint:gosec // counts from 0
			promoted++
		}
	}
	t.Logf("%d of %d promoted", promoted, n)
	if allowed := limits.Alpha*float64(n) + 3*math.Sqrt(limits.Alpha*float64(n)); float64(promoted) > allowed {
		t.Errorf("%d of %d promoted; alpha is %g", promoted, n, limits.Alpha)
	}
}

// TestPower: what is bad is found, and what is good gets through.
func TestPower(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scenario
		promote bool
	}{
		"errors at 5 a minute":   {scenario{perMinute: 5, primary: 0.005, canary: 0.2, slow: 0.01, canarySlow: 0.01, patience: 1440}, false},
		"errors at 100 a minute": {scenario{perMinute: 100, primary: 0.005, canary: 0.05, slow: 0.01, canarySlow: 0.01, patience: 1440}, false},
		"slow at 20 a minute":    {scenario{perMinute: 20, primary: 0.005, canary: 0.005, slow: 0.01, canarySlow: 0.3, patience: 1440}, false},
		"good at 5 a minute":     {scenario{perMinute: 5, primary: 0.002, canary: 0.002, slow: 0.01, canarySlow: 0.01, patience: 1440}, true},
		"good at 100 a minute":   {scenario{perMinute: 100, primary: 0.002, canary: 0.002, slow: 0.01, canarySlow: 0.01, patience: 1440}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right := 0
			for seed := range uint64(200) {
				if o := tc.release(seed, &comparison{limits: limits}); tc.promote && o.promoted || !tc.promote && o.rolledBack {
					right++
				}
			}
			if right < 190 {
				t.Errorf("right in %d of 200", right)
			}
		})
	}
}

// TestTheRuleBesideIsTheOneMeant pins the rule that ours is set beside.
func TestTheRuleBesideIsTheOneMeant(t *testing.T) {
	t.Parallel()
	good, bad, none := engine.Counts{Requests: 100}, engine.Counts{Requests: 100, Errors: 2}, engine.Counts{}
	r := &threshold{}
	for i, look := range []struct {
		counts engine.Counts
		want   int
	}{{bad, 10}, {good, 25}, {none, 25}, {bad, 25}, {good, 50}, {bad, 50}, {bad, 0}} {
		if got := r.decide(look.counts, engine.Counts{}); got != look.want {
			t.Errorf("look %d: weight %d, want %d", i, got, look.want)
		}
	}
}
