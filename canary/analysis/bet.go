package analysis

import "math"

// A bet is played once a look, on the outcomes of both workloads since the
// last one. It multiplies a stake by
//
//	likelihood of the outcomes under the alternative
//	------------------------------------------------
//	likelihood under the nearest point of the claim
//
// If the claim is true the stake is not expected to grow, however often one
// looks and whenever one stops, so it reaches 1/alpha with a probability of at
// most alpha (Ville's inequality). Only what happened at the same time is set
// against each other: what troubles both workloads alike proves nothing.
//
// A claim is a half-plane: one share of bad outcomes is at most, or at least,
// the other plus a margin. It is convex, which makes its nearest point, in the
// sense of Kullback and Leibler with the look's numbers as weights, the right
// one to divide by (Turner, Ly and Grünwald, "Generic E-variables for exact
// sequential k-sample tests that allow for optional stopping").
type bet struct {
	canary, primary float64 // shares of bad outcomes under the alternative
	margin          float64 // canary = primary + margin is the claim's edge
}

// outcomes are counts of one workload in one look; Bad is part of All.
type outcomes struct{ All, Bad float64 }

// least keeps shares away from 0 and 1, where a single surprise would end a
// stake for good.
const least = 1e-4

func clamp(share, low, high float64) float64 { return math.Max(low, math.Min(high, share)) }

// growth is the logarithm of what the stake is multiplied by. It is 0 without
// outcomes of the canary: nothing was compared then.
func (b bet) growth(canary, primary outcomes) float64 {
	if canary.All == 0 || primary.All == 0 {
		return 0
	}
	q := b.nearest(canary.All, primary.All)
	return canary.likelihood(b.canary, q+b.margin) + primary.likelihood(b.primary, q)
}

func (o outcomes) likelihood(alternative, claim float64) float64 {
	return o.Bad*math.Log(alternative/claim) + (o.All-o.Bad)*math.Log((1-alternative)/(1-claim))
}

// nearest is the primary's share at the point of the claim's edge that is
// nearest to the alternative. The distance is convex along the edge: where its
// slope is 0 is found by halving.
func (b bet) nearest(canary, primary float64) float64 {
	slope := func(weight, share, at float64) float64 { return weight * (at - share) / (at * (1 - at)) }
	low, high := 1e-12, 1-b.margin-1e-12
	for range 50 {
		q := (low + high) / 2
		if slope(canary, b.canary, q+b.margin)+slope(primary, b.primary, q) > 0 {
			high = q
		} else {
			low = q
		}
	}
	return (low + high) / 2
}

// portfolio spreads a stake evenly over alternatives that lie at different
// distances from the primary's share, since which of them is near the truth
// isn't known. An alternative within the claim is not bet on.
type portfolio struct {
	margin float64
	above  []float64 // the canary's share less the primary's
	worse  bool      // the claim is "at most the margin", else "at least"
}

// worseThan bets against "the canary is worse by the margin at most".
func worseThan(margin float64) portfolio {
	return portfolio{margin: margin, worse: true, above: []float64{margin * 2, margin * 4, margin + 0.1, margin + 0.3, margin + 0.6}}
}

// betterThan bets against "the canary is worse by the margin at least".
func betterThan(margin float64) portfolio {
	return portfolio{margin: margin, above: []float64{0, margin / 4, margin / 2}}
}

// play adds a look to the logarithms of the stakes; nil stakes are new ones.
// base is the primary's share as it was known before the look.
func (p portfolio) play(stakes []float64, base float64, canary, primary outcomes) []float64 {
	next := make([]float64, len(p.above))
	if len(stakes) == len(next) {
		copy(next, stakes)
	}
	for i, above := range p.above {
		b := bet{canary: clamp(base+above, least, 1-least), primary: clamp(base, least, 1-least), margin: p.margin}
		if outside := b.canary - b.primary - p.margin; outside != 0 && (outside > 0) == p.worse {
			next[i] += b.growth(canary, primary)
		}
	}
	return next
}

// worth is the logarithm of what a stake spread evenly has become.
func worth(stakes []float64) float64 {
	if len(stakes) == 0 {
		return 0
	}
	top, sum := math.Inf(-1), 0.0
	for _, s := range stakes {
		top = math.Max(top, s)
	}
	for _, s := range stakes {
		sum += math.Exp(s - top)
	}
	return top + math.Log(sum/float64(len(stakes)))
}
