package analysis

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestStakesAreNotExpectedToGrow adds up, over every outcome that a look can
// have, what a stake becomes times how probable that is, for claims that are
// true. It is the whole reason why one may look at any time.
func TestStakesAreNotExpectedToGrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		margin := rapid.Float64Range(0.001, 0.5).Draw(t, "margin")
		base := rapid.Float64Range(0, 0.9).Draw(t, "base")
		primary := rapid.Float64Range(0, 1-margin).Draw(t, "primary")
		n1, n0 := rapid.IntRange(1, 12).Draw(t, "to the canary"), rapid.IntRange(1, 12).Draw(t, "to the primary")
		worse := rapid.Bool().Draw(t, "worse")
		p, canary := betterThan(margin), rapid.Float64Range(primary+margin, 1).Draw(t, "at least as bad")
		if worse {
			p, canary = worseThan(margin), rapid.Float64Range(0, primary+margin).Draw(t, "at most as bad")
		}
		expected := 0.0
		for x1 := range n1 + 1 {
			for x0 := range n0 + 1 {
				stake := worth(p.play(nil, base, outcomes{float64(n1), float64(x1)}, outcomes{float64(n0), float64(x0)}))
				expected += binomial(n1, x1, canary) * binomial(n0, x0, primary) * math.Exp(stake)
			}
		}
		if expected > 1+1e-6 || math.IsNaN(expected) {
			t.Fatalf("a stake against a true claim is expected to become %v", expected)
		}
	})
}

func binomial(n, k int, p float64) float64 {
	ways := 1.0
	for i := range k {
		ways = ways * float64(n-i) / float64(i+1)
	}
	return ways * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

// TestStakesGrowOnWhatIsTrue: a bet that is right pays.
func TestStakesGrowOnWhatIsTrue(t *testing.T) {
	t.Parallel()
	looks := func(p portfolio, canary, primary outcomes) float64 {
		var stakes []float64
		for range 10 {
			stakes = p.play(stakes, 0.005, canary, primary)
		}
		return worth(stakes)
	}
	good, bad := outcomes{100, 0}, outcomes{100, 5}
	if got := looks(worseThan(0.01), bad, outcomes{400, 2}); got < 10 {
		t.Errorf("five errors in a hundred against half of one: %v", got)
	}
	if got := looks(worseThan(0.01), good, outcomes{400, 2}); got > 0 {
		t.Errorf("no errors count against the canary: %v", got)
	}
	if got := looks(betterThan(0.01), good, outcomes{400, 2}); got < 3 {
		t.Errorf("a thousand good answers prove little: %v", got)
	}
	if got := looks(betterThan(0.01), bad, outcomes{400, 2}); got > 0 {
		t.Errorf("errors count for the canary: %v", got)
	}
	if got := looks(worseThan(0.01), outcomes{100, 30}, outcomes{400, 120}); got > 0 {
		t.Errorf("what troubles both counts against the canary: %v", got)
	}
}
