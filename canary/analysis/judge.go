// Package analysis judges what was measured of a candidate. It is pure.
//
//	Limits, Sample -> Judge -> engine.Verdict and the reason in words
package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/canary/engine"
)

// Limits are what a candidate must keep to.
type Limits struct {
	SuccessRate float64       // least percentage of good answers
	Latency     time.Duration // most that the slowest hundredth may take
	MinRequests float64       // fewer than this aren't judged
}

// Sample is what was measured over one window. NaN stands for no data.
type Sample struct {
	Requests  float64 // in the window
	Bad       float64 // of them, answered with an error of the server
	LatencyMS float64 // 99th percentile; +Inf is beyond the last bucket
}

// Judge compares a sample to the limits. Too few requests are no data, never a
// failure.
func Judge(l Limits, s Sample) (engine.Verdict, string) {
	if math.IsNaN(s.Requests) || s.Requests <= 0 || s.Requests < l.MinRequests {
		return engine.NoData, "waiting for requests to judge by"
	}
	if math.IsNaN(s.Bad) {
		return engine.NoData, "waiting for answers to judge by"
	}
	rate := 100 * (1 - math.Min(1, s.Bad/s.Requests))
	if rate < l.SuccessRate {
		return engine.Fail, fmt.Sprintf("success rate %.1f %%, wanted %g %%", rate, l.SuccessRate)
	}
	limit := float64(l.Latency) / float64(time.Millisecond)
	if s.LatencyMS > limit {
		return engine.Fail, fmt.Sprintf("99th percentile %.0f ms, wanted at most %.0f ms", s.LatencyMS, limit)
	}
	return engine.Pass, fmt.Sprintf("success rate %.1f %%", rate)
}

// Range is what one number must keep to. A nil limit is none.
type Range struct {
	Name     string
	Min, Max *float64
}

// Result is one verdict of several, in words.
type Result struct {
	Verdict engine.Verdict
	Summary string
}

// JudgeValue compares a number to a range. NaN is no data; infinity is a number.
func JudgeValue(r Range, v float64) Result {
	switch {
	case math.IsNaN(v):
		return Result{engine.NoData, r.Name + " has no value"}
	case r.Min != nil && v < *r.Min:
		return Result{engine.Fail, fmt.Sprintf("%s %.4g, wanted at least %.4g", r.Name, v, *r.Min)}
	case r.Max != nil && v > *r.Max:
		return Result{engine.Fail, fmt.Sprintf("%s %.4g, wanted at most %.4g", r.Name, v, *r.Max)}
	}
	return Result{engine.Pass, fmt.Sprintf("%s %.4g", r.Name, v)}
}

// gravity orders verdicts: together, the gravest counts.
var gravity = map[engine.Verdict]int{engine.Pass: 0, engine.Inconclusive: 1, engine.NoData: 2, engine.Error: 3, engine.Fail: 4}

// Together is the gravest of several verdicts, with the words of all that are so
// grave. None at all is no data.
func Together(results ...Result) Result {
	if len(results) == 0 {
		return Result{engine.NoData, "nothing to judge by"}
	}
	gravest := slices.MaxFunc(results, func(a, b Result) int { return gravity[a.Verdict] - gravity[b.Verdict] }).Verdict
	var words []string
	for _, r := range results {
		if r.Verdict == gravest {
			words = append(words, r.Summary)
		}
	}
	return Result{gravest, strings.Join(words, "; ")}
}
