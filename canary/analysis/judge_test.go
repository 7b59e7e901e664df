package analysis

import (
	"math"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/canary/engine"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	limits := Limits{SuccessRate: 99, Latency: 500 * time.Millisecond, MinRequests: 10}
	tests := map[string]struct {
		sample Sample
		want   engine.Verdict
	}{
		"passes good answers":                    {Sample{100, 0, 20}, engine.Pass},
		"passes at exactly the limits":           {Sample{100, 1, 500}, engine.Pass},
		"passes when only the latency is absent": {Sample{100, 0, math.NaN()}, engine.Pass},
		"fails too many errors":                  {Sample{100, 2, 20}, engine.Fail},
		"fails slow answers":                     {Sample{100, 0, 501}, engine.Fail},
		"fails a latency beyond all buckets":     {Sample{100, 0, math.Inf(1)}, engine.Fail},
		"has no data without requests":           {Sample{0, 0, math.NaN()}, engine.NoData},
		"has no data with too few requests":      {Sample{9, 9, 20}, engine.NoData},
		"has no data when nothing is known":      {Sample{math.NaN(), math.NaN(), math.NaN()}, engine.NoData},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, why := Judge(limits, tc.sample); got != tc.want || why == "" {
				t.Errorf("Judge = %v (%s), want %v", got, why, tc.want)
			}
		})
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	pass, fail := Result{engine.Pass, "good"}, Result{engine.Fail, "bad"}
	tests := map[string]struct {
		of   []Result
		want Result
	}{
		"is no data when nothing is looked at": {nil, Result{engine.NoData, "nothing to judge by"}},
		"passes when all do":                   {[]Result{pass, {engine.Pass, "fast"}}, Result{engine.Pass, "good; fast"}},
		"fails when one does":                  {[]Result{pass, fail, {engine.Error, "broken"}}, fail},
		"tells an error from no data":          {[]Result{{engine.NoData, "none"}, {engine.Error, "broken"}, pass}, Result{engine.Error, "broken"}},
		"waits for evidence":                   {[]Result{pass, {engine.Inconclusive, "so far"}}, Result{engine.Inconclusive, "so far"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Together(tc.of...); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
