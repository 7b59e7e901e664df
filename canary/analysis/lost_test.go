package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/canary/engine"
)

func TestLost(t *testing.T) {
	t.Parallel()
	limits := Limits{SuccessRate: 99, Latency: 500 * time.Millisecond, MinRequests: 1}
	for name, test := range map[string]struct {
		limits Limits
		window Window
		want   string
	}{
		"total failure in a second": {limits, Window{Elapsed: time.Second, Requests: 100, Bad: 100}, "100 of 100 requests failed within 1s"},
		"half of all in two":        {limits, Window{Elapsed: 2 * time.Second, Requests: 200, Bad: 100}, "100 of 200 requests failed within 2s"},
		"few requests, all failed":  {limits, Window{Elapsed: 3 * time.Second, Requests: 9, Bad: 9}, "9 of 9"},
		"room is left":              {limits, Window{Elapsed: time.Second, Requests: 100, Bad: 20}, ""},
		"one failure alone":         {limits, Window{Elapsed: 59 * time.Second, Requests: 20, Bad: 1}, ""},
		"nothing came":              {limits, Window{Elapsed: time.Second}, ""},
		"no time went by":           {limits, Window{Requests: 100, Bad: 100}, ""},
		"fewer than are judged":     {Limits{SuccessRate: 99, MinRequests: 101}, Window{Elapsed: time.Second, Requests: 100, Bad: 100}, ""},
		"anything may fail":         {Limits{}, Window{Elapsed: time.Second, Requests: 100, Bad: 100}, ""},
		"all slow":                  {limits, Window{Elapsed: time.Second, Requests: 100, Slow: 90, SlowKnown: true}, "90 of 100 requests took longer than 500ms"},
		"slow, as far as not known": {limits, Window{Elapsed: time.Second, Requests: 100, Slow: 90}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words, lost := Lost(test.limits, time.Minute, test.window)
			if lost != (test.want != "") || !strings.Contains(words, test.want) {
				t.Errorf("%v %q, want %q", lost, words, test.want)
			}
		})
	}
}

// Of what is given up in the midst of an interval hardly anything would have passed at
// its end: of candidates of every kind, and of those alone that keep to the limit, which
// fail a check by chance only.
func TestWhatIsLostWouldHaveFailed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		worst float64 // share of bad answers
		least int     // that must be given up for the test to tell something
		oneIn int     // of those may be wrong
	}{
		"every kind":        {0.03, 1000, 200},
		"within the limits": {0.009, 500, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a simulation
			limits := Limits{SuccessRate: 99, MinRequests: 1, Latency: math.MaxInt64}
			wrong, lostOnes := 0, 0
			for range 20_000 {
				rate := math.Exp(random.Float64() * math.Log(300)) // requests a second
				share := test.worst * random.Float64()
				var w Window
				lost := false
				for range 30 {
					w.Elapsed += time.Second
					for range poisson(random, rate) {
						w.Requests++
						if random.Float64() < share {
							w.Bad++
						}
					}
					if _, now := Lost(limits, 30*time.Second, w); now {
						lost = true
					}
				}
				if !lost {
					continue
				}
				lostOnes++
				if verdict, _ := Judge(limits, Sample{Requests: w.Requests, Bad: w.Bad}); verdict != engine.Fail {
					wrong++
				}
			}
			if lostOnes < test.least || wrong*test.oneIn > lostOnes {
				t.Errorf("%d of %d given up would have passed", wrong, lostOnes)
			}
		})
	}
}

func poisson(random *rand.Rand, mean float64) int {
	n := 0
	for t := random.ExpFloat64() / mean; t < 1; t += random.ExpFloat64() / mean {
		n++
	}
	return n
}

// More that is bad never makes a lost window one that isn't.
func TestLostIsMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requests := rapid.IntRange(1, 10_000).Draw(t, "requests")
		bad := rapid.IntRange(0, requests).Draw(t, "bad")
		l := Limits{SuccessRate: float64(rapid.IntRange(0, 100).Draw(t, "limit")), MinRequests: 1}
		w := Window{Elapsed: time.Duration(rapid.IntRange(1, 60_000).Draw(t, "ms")) * time.Millisecond, Requests: float64(requests), Bad: float64(bad)}
		if _, lost := Lost(l, time.Minute, w); !lost {
			return
		}
		w.Bad = math.Min(w.Requests, w.Bad+float64(rapid.IntRange(0, 100).Draw(t, "more")))
		if _, lost := Lost(l, time.Minute, w); !lost {
			t.Fatalf("not lost any more: %+v", w)
		}
	})
}
