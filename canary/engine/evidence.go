package engine

import "time"

// Counts are numbers of requests. Errors and Slow are among Requests.
type Counts struct{ Requests, Errors, Slow int64 }

// Add returns the sum.
func (c Counts) Add(o Counts) Counts {
	return Counts{c.Requests + o.Requests, c.Errors + o.Errors, c.Slow + o.Slow}
}

// Proof is what bets on one kind of bad outcome have come to, as logarithms.
type Proof struct {
	Worse []float64 // that the candidate is worse; grows over the whole release
	Safe  []float64 // that more traffic does no harm; of this step only
}

// Evidence is what a comparison with the primary has brought to light. The
// zero value is that of a release nobody has looked at.
type Evidence struct {
	CountedAt       time.Time // up to when requests were counted
	Canary, Primary Counts
	Errors, Slow    Proof
}

// forStep is the evidence that a new step starts with.
func (e Evidence) forStep() Evidence {
	e.Errors.Safe, e.Slow.Safe = nil, nil
	return e
}
