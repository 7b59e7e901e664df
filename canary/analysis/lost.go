package analysis

import (
	"fmt"
	"math"
	"time"
)

// Window is what was counted since the last check.
type Window struct {
	Elapsed   time.Duration
	Requests  float64
	Bad       float64 // of them, answered with an error of the server
	Slow      float64 // of them, certainly slower than the limit
	SlowKnown bool    // whether Slow was counted at all
}

// atLeast is how many bad answers it takes to give a check up for lost, unless fewer
// came at all: one of many is chance.
const atLeast = 3

// Lost is whether a check at the end of the interval has as good as failed: more
// answers are bad already than may be of all that are to be expected until then.
// Words say so.
//
// How many will come isn't known. It is reckoned with the pace so far, raised by three
// standard deviations of what has come: a window that is lost would be saved only by a
// rush of good answers. With many requests total failure is lost after the share that
// may fail of the interval: 0.6 s for 99 % and a minute.
func Lost(l Limits, interval time.Duration, w Window) (words string, lost bool) {
	if w.Requests < l.MinRequests || w.Elapsed <= 0 {
		return "", false
	}
	left := math.Max(0, (interval - w.Elapsed).Seconds())
	pace := (w.Requests + 3*math.Sqrt(w.Requests)) / w.Elapsed.Seconds()
	expected := w.Requests + pace*left
	within := w.Elapsed.Round(100 * time.Millisecond)
	more := func(bad, share float64) bool { return bad >= math.Min(atLeast, w.Requests) && bad > share*expected }
	switch {
	case more(w.Bad, 1-l.SuccessRate/100):
		return fmt.Sprintf("%.0f of %.0f requests failed within %s, more than %g %% of success in %s leaves room for", w.Bad, w.Requests, within, l.SuccessRate, interval), true
	case w.SlowKnown && more(w.Slow, 0.01):
		return fmt.Sprintf("%.0f of %.0f requests took longer than %s within %s, more than a hundredth of those in %s", w.Slow, w.Requests, l.Latency, within, interval), true
	}
	return "", false
}
