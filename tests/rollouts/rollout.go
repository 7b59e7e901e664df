package main

import (
	"math"
	"math/rand/v2"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
)

// scenario is what is really so, which no rule gets to know.
type scenario struct {
	name                    string
	perMinute               float64
	primary, canary         float64 // shares of failed requests
	slow, canarySlow        float64 // shares of slow requests
	outageFrom, outageUntil int     // minutes in which 20 % of all requests fail more
	patience                int     // minutes after which a release is given up
}

// request is one of a trace. All are drawn beforehand, so that every rule is
// put to the same clients at the same time.
type request struct{ route, luck, pace float64 }

// minute is what came in during one minute; its requests are made as they are
// asked for, from a seed.
func (s scenario) minute(r *rand.Rand) []request {
	requests := make([]request, poisson(r, s.perMinute))
	for i := range requests {
		requests[i] = request{r.Float64(), r.Float64(), r.Float64()}
	}
	return requests
}

// poisson draws a number with that mean, by counting arrivals.
func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for t := r.ExpFloat64(); t < mean; t += r.ExpFloat64() {
		n++
	}
	return n
}

// serve counts what becomes of a minute's requests at a weight.
func (s scenario) serve(minute int, requests []request, weight int) (canary, primary engine.Counts) {
	outage := 0.0
	if minute >= s.outageFrom && minute < s.outageUntil {
		outage = 0.2
	}
	for _, q := range requests {
		to, failing, slow := &primary, s.primary, s.slow
		if q.route < float64(weight)/100 {
			to, failing, slow = &canary, s.canary, s.canarySlow
		}
		to.Requests++
		if q.luck < failing+outage {
			to.Errors++
		}
		if q.pace < slow {
			to.Slow++
		}
	}
	return canary, primary
}

// outcome is how a release went.
type outcome struct {
	rolledBack, promoted bool
	minutes              int
	failed               int64 // requests that the candidate failed
}

// rule decides once a minute by what was counted at the weight it asked for.
type rule interface {
	// weight is of the next minute; 0 is a rollback and 100 a promotion.
	decide(canary, primary engine.Counts) (weight int)
}

var steps = []int{10, 25, 50, 100}

// release runs one to its end. The same seed is the same trace.
func (s scenario) release(seed uint64, r rule) outcome {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a simulation wants numbers that come again
	var o outcome
	for weight := steps[0]; ; o.minutes++ {
		if o.minutes >= s.patience {
			return o
		}
		canary, primary := s.serve(o.minutes, s.minute(random), weight)
		o.failed += canary.Errors
		switch weight = r.decide(canary, primary); {
		case weight <= 0:
			o.rolledBack = true
			return o
		case weight >= 100:
			o.promoted = true
			return o
		}
	}
}

// comparison is Heddle's rule.
type comparison struct {
	limits   analysis.Comparison
	evidence engine.Evidence
	step     int
}

func (c *comparison) decide(canary, primary engine.Counts) int {
	e, verdict, _ := analysis.Compare(c.limits, c.evidence, analysis.Look{Canary: canary, Primary: primary, SlowKnown: true}, steps[c.step+1])
	c.evidence = e
	switch verdict {
	case engine.Fail, engine.Error:
		return 0
	case engine.Pass:
		c.step++
		c.evidence.Errors.Safe, c.evidence.Slow.Safe = nil, nil
	case engine.NoData, engine.Inconclusive:
	}
	return steps[c.step]
}

// threshold is Flagger's rule: a minute with less than 99 % of good answers, or
// without any, is a failed check; five of them, in a row or not, are a
// rollback; every other minute is a step forward.
type threshold struct{ step, failed int }

func (t *threshold) decide(canary, _ engine.Counts) int {
	if rate := 1 - float64(canary.Errors)/float64(canary.Requests); math.IsNaN(rate) || rate < 0.99 {
		if t.failed++; t.failed >= 5 {
			return 0
		}
		return steps[t.step]
	}
	t.step++
	return steps[t.step]
}
