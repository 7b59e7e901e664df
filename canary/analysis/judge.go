// Package analysis judges what was measured of a candidate. It is pure.
//
//	Limits, Sample -> Judge -> engine.Verdict and the reason in words
package analysis

import (
	"fmt"
	"math"
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
