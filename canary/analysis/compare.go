package analysis

import (
	"fmt"
	"math"

	"github.com/heddle-mesh/heddle/canary/engine"
)

// Comparison is what a candidate may differ by from the primary that serves at
// the same time. All three are above 0 and below 1.
type Comparison struct {
	// Alpha bounds the probability that a release is rolled back although the
	// candidate is worse by no more than it may be, and, step by step, that it
	// is given more traffic although it is.
	Alpha float64
	// Errors is how much larger the share of failed requests may be.
	Errors float64
	// Slow is how much larger the share of requests may be that take longer
	// than nearly all of the primary's did before.
	Slow float64
}

// Look is what happened since the last one.
type Look struct {
	Canary, Primary engine.Counts
	// Before is what the primary did earlier. It is no evidence and only makes
	// bets better; it matters at the first look.
	Before engine.Counts
	// SlowKnown is whether anything says which requests are slow.
	SlowKnown bool
}

// Compare adds a look to the evidence and says what it all comes to.
//
//   - Fail: certainly the candidate is worse by more than it may be. Evidence
//     of that is gathered over the whole release.
//   - Pass: certainly, by the evidence of this step, the requests of all
//     clients together would fail more often by less than Errors, and be slow
//     more often by less than Slow, if the candidate had the next weight. So
//     the more traffic is at stake, the more it takes.
//   - Inconclusive: neither, as yet.
//   - NoData: there has been nothing to compare in this release.
//
// next is a percentage; 100 is the promotion.
func Compare(c Comparison, e engine.Evidence, look Look, next int) (engine.Evidence, engine.Verdict, string) {
	if !plausible(look.Canary) || !plausible(look.Primary) || !plausible(look.Before) {
		return e, engine.Error, "more bad requests were counted than requests: are the series those of the sidecars?"
	}
	known := e.Primary.Add(look.Before)
	e.Canary, e.Primary = e.Canary.Add(look.Canary), e.Primary.Add(look.Primary)
	if e.Canary.Requests == 0 || e.Primary.Requests == 0 {
		return e, engine.NoData, "waiting for requests to both the candidate and the primary"
	}
	e.Errors = prove(e.Errors, c.Errors, next, share(known.Errors, known.Requests), errorsOf(look.Canary), errorsOf(look.Primary))
	if look.SlowKnown {
		e.Slow = prove(e.Slow, c.Slow, next, share(known.Slow, known.Requests), slowOf(look.Canary), slowOf(look.Primary))
	}
	verdict, summary := judge(c, e, next)
	return e, verdict, summary
}

func plausible(c engine.Counts) bool {
	return c.Errors >= 0 && c.Slow >= 0 && c.Requests >= max(c.Errors, c.Slow)
}

func errorsOf(c engine.Counts) outcomes { return outcomes{float64(c.Requests), float64(c.Errors)} }
func slowOf(c engine.Counts) outcomes   { return outcomes{float64(c.Requests), float64(c.Slow)} }

// share is what part of the requests is expected to be bad. Knowing nothing
// that is half a percent.
func share(bad, requests int64) float64 { return (float64(bad) + 0.1) / (float64(requests) + 20) }

// tolerated is the difference between the two that makes one of the given
// margin for all clients together.
func tolerated(margin float64, weight int) float64 {
	return math.Min(0.5, margin*100/float64(max(1, weight)))
}

func prove(p engine.Proof, margin float64, next int, base float64, canary, primary outcomes) engine.Proof {
	return engine.Proof{
		Worse: worseThan(margin).play(p.Worse, base, canary, primary),
		Safe:  betterThan(tolerated(margin, next)).play(p.Safe, base, canary, primary),
	}
}

// judge reads the evidence. Two claims can fail a release, so each of them has
// half of alpha; both have to be refuted for more traffic, so each has all.
func judge(c Comparison, e engine.Evidence, next int) (engine.Verdict, string) {
	numbers := func(what string, bad func(engine.Counts) int64) string {
		return fmt.Sprintf("%.2f %% %s, primary %.2f %%", percent(bad(e.Canary), e.Canary.Requests), what, percent(bad(e.Primary), e.Primary.Requests))
	}
	failed := numbers("errors", func(c engine.Counts) int64 { return c.Errors })
	slow := numbers("slow", func(c engine.Counts) int64 { return c.Slow })
	of := fmt.Sprintf(" (%d and %d requests)", e.Canary.Requests, e.Primary.Requests)
	limit := math.Log(2 / c.Alpha)
	switch {
	case worth(e.Errors.Worse) >= limit:
		return engine.Fail, fmt.Sprintf("%s%s: worse by more than %g %% with a doubt below %g %%", failed, of, 100*c.Errors, 100*c.Alpha)
	case worth(e.Slow.Worse) >= limit:
		return engine.Fail, fmt.Sprintf("%s%s: worse by more than %g %% with a doubt below %g %%", slow, of, 100*c.Slow, 100*c.Alpha)
	}
	evidence := math.Min(worth(e.Errors.Safe), worth(e.Slow.Safe)) / math.Log(1/c.Alpha)
	if e.Slow.Safe == nil {
		slow = "latency of the primary not known yet"
	}
	summary := fmt.Sprintf("%s; %s%s", failed, slow, of)
	if evidence >= 1 {
		return engine.Pass, summary
	}
	to := fmt.Sprintf("to give it %d %% of the traffic", next)
	if next >= 100 {
		to = "to promote it"
	}
	return engine.Inconclusive, fmt.Sprintf("%s: %.0f %% of the evidence needed %s", summary, math.Max(0, math.Floor(100*evidence)), to)
}

func percent(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
