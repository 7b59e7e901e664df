package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// result is how both rules did in one scenario.
type result struct {
	scenario
	ours, theirs []outcome
}

// scenarios are what users meet. The share of slow requests is the same for
// both workloads unless the scenario is about it.
func scenarios() []scenario {
	var all []scenario
	for _, perMinute := range []float64{5, 20, 100} {
		for _, s := range []scenario{
			{name: "equal, no errors"},
			{name: "equal, 0.5 % errors", primary: 0.005, canary: 0.005},
			{name: "equal, 5 % errors", primary: 0.05, canary: 0.05},
			{name: "equal, 15 minutes of outage", primary: 0.005, canary: 0.005, outageFrom: 5, outageUntil: 20},
			{name: "2 % errors for 0.5 %", primary: 0.005, canary: 0.02},
			{name: "5 % errors for 0.5 %", primary: 0.005, canary: 0.05},
			{name: "20 % errors for 0.5 %", primary: 0.005, canary: 0.2},
			{name: "30 % slow for 1 %", primary: 0.005, canary: 0.005, canarySlow: 0.3},
		} {
			s.perMinute, s.slow, s.patience = perMinute, 0.01, 1440
			if s.canarySlow == 0 {
				s.canarySlow = s.slow
			}
			all = append(all, s)
		}
	}
	return all
}

// simulate runs every scenario under both rules, on the same seeds.
func simulate(n int) []result {
	results := make([]result, len(scenarios()))
	var wait sync.WaitGroup
	for i, s := range scenarios() {
		wait.Go(func() {
			r := result{scenario: s}
			for seed := range n {
				r.ours = append(r.ours, s.release(uint64(seed), &comparison{limits: limits})) //nolint:gosec // counts from 0
				r.theirs = append(r.theirs, s.release(uint64(seed), &threshold{}))            //nolint:gosec // counts from 0
			}
			results[i] = r
		})
	}
	wait.Wait()
	return results
}

// summary is what a row of the table says of one rule.
type summary struct {
	rolledBack, promoted float64 // percentages; the rest was given up
	minutes              int     // median until either
	failed               float64 // requests that the candidate failed, mean
}

func summarize(outcomes []outcome) summary {
	var s summary
	var minutes []int
	each := 100 / float64(len(outcomes))
	for _, o := range outcomes {
		if o.rolledBack {
			s.rolledBack += each
		}
		if o.promoted {
			s.promoted += each
		}
		s.failed += float64(o.failed) / float64(len(outcomes))
		if o.rolledBack || o.promoted {
			o.minutes++ // it was decided at the end of a minute
		}
		minutes = append(minutes, o.minutes)
	}
	slices.Sort(minutes)
	s.minutes = minutes[len(minutes)/2]
	return s
}

func (s summary) cells() string {
	return fmt.Sprintf("%.2f | %.2f | %d | %.1f", s.rolledBack, s.promoted, s.minutes, s.failed)
}

// page is docs/reference/comparison.md.
func page(n int, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by: go run ./tests/rollouts -->

# Comparing a candidate with the primary

`+"`spec.analysis.comparison`"+` judges a candidate by the primary that serves at the same time, instead of by fixed limits.
At each interval the requests to both are counted, and two things are bet on: that the candidate is worse by more than
it may be, and that more traffic does no harm. While the opposite is true such a bet is not expected to pay, however
often one looks, so a stake that has grown to 1/alpha is a proof with a doubt of at most alpha. There is no number of
requests to wait for, and no penalty for looking often.

- **Rolled back** when it is proven that the candidate's share of failed requests is larger than the primary's by more
  than `+"`errorIncrease`"+`, or that of slow ones by more than `+"`slowIncrease`"+`. One proof is enough; evidence counts over
  the whole release.
- **Given more traffic** when this step has proven that, at the next weight, less than `+"`errorIncrease`"+` and
  `+"`slowIncrease`"+` would be added to what all clients see. A small weight is reached with little evidence, and
  promotion takes the most: about ln(1/alpha) / errorIncrease requests to a candidate without errors, 300 by default,
  and more where the primary itself fails.
- **Held** otherwise. Without requests nothing moves, that is said once, and `+"`progressDeadlineSeconds`"+` decides. With
  little traffic set it to hours: it is the longest stay in one step.

Slow is what takes longer than 99 %% of the primary's requests took in the hour before. What troubles both alike, such as
a database that is down, is no evidence against the candidate. What the bounds rest on is that requests fail
independently of each other; where one client's retries make most of the traffic, choose a smaller alpha.

## What it does, simulated

%d releases in each row, steps of 10, 25 and 50 %%, one look a minute, alpha %g %%, errorIncrease %g %%, slowIncrease
%g %%; a release is given up after a day. Beside it, on the same requests, a fixed threshold as Flagger has it: 99 %% of
good answers in each minute, five failed checks roll back, a minute without requests is a failed check; it looks at
errors only. Minutes are medians until a release was decided or given up; "failed" is the mean number of requests that
the candidate failed by then, not what it fails once promoted.

| requests/min | candidate | compared: rolled back %% | promoted %% | minutes | failed | threshold: rolled back %% | promoted %% | minutes | failed |
|---|---|---|---|---|---|---|---|---|---|
`, n, 100*limits.Alpha, 100*limits.Errors, 100*limits.Slow)
	for _, r := range results {
		fmt.Fprintf(&b, "| %g | %s | %s | %s |\n", r.perMinute, r.name, summarize(r.ours).cells(), summarize(r.theirs).cells())
	}
	b.WriteString(`
Where equal versions are rolled back that is a false alarm: alpha bounds those of the comparison, whatever the traffic
and whatever the primary fails. A threshold is quick, and pays for it: with few requests it promotes what fails a
twentieth or a fifth of them, and where the primary fails as much as the limit allows it rolls back its equal. The
comparison is as quick as the evidence: where there are 5 requests a minute it takes the better part of a day to
learn what 100 tell within the hour. A candidate that fails 2 % for 0.5 % is worse by just more than it may be, and
is the slowest to be found out.

![Share of bad candidates that have been rolled back, by time](comparison.svg)

Make this page again with ` + "`go run ./tests/rollouts`" + `; the seeds are fixed.
`)
	return b.String()
}
