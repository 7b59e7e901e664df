package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
)

// history is how far back it is looked for what is usual of a primary.
const history = time.Hour

// usual is the share of the primary's requests that aren't slow.
const usual = 0.99

// Pair names what is compared: two Deployments of one namespace.
type Pair struct{ Namespace, Canary, Primary string }

// Look counts the requests of both since those that the evidence has, until
// now.
//
// The counters are read at both ends and subtracted here, since a comparison
// needs each request once: PromQL's increase estimates, and windows of it
// overlap or leave gaps. Slow is what takes longer than 99 % of the primary's
// requests took in the hour before that, to the bucket.
func (p *Prometheus) Look(ctx context.Context, of Pair, e engine.Evidence, now time.Time) (analysis.Look, error) {
	var look analysis.Look
	since := e.CountedAt
	primary := newQueries(of.Namespace, of.Primary, history)
	durations, err := p.vector(ctx, primary.durations(), since)
	if err != nil {
		return look, fmt.Errorf("query the primary's durations: %w", err)
	}
	limit, slow, known := slowest(durations)
	look.SlowKnown = known
	if e.Primary.Requests == 0 {
		if err := p.before(ctx, primary, since, &look.Before); err != nil {
			return look, err
		}
		look.Before.Slow = min(slow, look.Before.Requests)
	}
	canary := newQueries(of.Namespace, of.Canary, history)
	if look.Canary, err = p.count(ctx, canary, counting{limit, since, now, e.Canary.Requests == 0}); err != nil {
		return look, fmt.Errorf("count requests to %s: %w", of.Canary, err)
	}
	if look.Primary, err = p.count(ctx, primary, counting{limit, since, now, false}); err != nil {
		return look, fmt.Errorf("count requests to %s: %w", of.Primary, err)
	}
	return look, nil
}

func (p *Prometheus) before(ctx context.Context, q queries, now time.Time, into *engine.Counts) error {
	for _, one := range []struct {
		query string
		into  *int64
	}{{q.requests(), &into.Requests}, {q.bad(), &into.Errors}} {
		value, err := p.ask(ctx, one.query, now)
		if err != nil {
			return fmt.Errorf("query the primary's requests: %w", err)
		}
		if !math.IsNaN(value) {
			*one.into = int64(math.Round(value))
		}
	}
	into.Errors = min(into.Errors, into.Requests)
	return nil
}

// slowest finds the bucket that holds all but the slowest of a histogram, as
// the label it has, and how many requests are beyond.
func slowest(buckets model.Vector) (limit string, beyond int64, known bool) {
	bound := func(s *model.Sample) float64 {
		v, err := strconv.ParseFloat(string(s.Metric[model.BucketLabel]), 64)
		if err != nil {
			return math.NaN()
		}
		return v
	}
	buckets = slices.DeleteFunc(slices.Clone(buckets), func(s *model.Sample) bool { return math.IsNaN(bound(s)) })
	slices.SortFunc(buckets, func(a, b *model.Sample) int {
		if bound(a) < bound(b) {
			return -1
		}
		return 1
	})
	if len(buckets) == 0 {
		return "", 0, false
	}
	all := float64(buckets[len(buckets)-1].Value)
	for _, b := range buckets[:len(buckets)-1] {
		if in := float64(b.Value); all > 0 && in >= usual*all {
			return string(b.Metric[model.BucketLabel]), int64(math.Round(all - in)), true
		}
	}
	return "", 0, false
}

// counting says what to count.
type counting struct {
	limit      string // the bucket that slow requests are beyond; empty is none
	since, now time.Time
	fresh      bool // requests may have begun after since
}

// count reads a workload's counters at both ends.
func (p *Prometheus) count(ctx context.Context, q queries, how counting) (engine.Counts, error) {
	var c engine.Counts
	requests, err := p.grown(ctx, q.series("request_total", ""), how)
	if err != nil {
		return c, err
	}
	for _, s := range requests {
		n := int64(s.Value)
		c.Requests += n
		if failed(s.Metric) {
			c.Errors += n
		}
	}
	if how.limit == "" {
		return c, nil
	}
	durations, err := p.grown(ctx, q.series("request_duration_ms_bucket", `,le=~"`+strings.ReplaceAll(how.limit, ".", "[.]")+`|[+]Inf"`), how)
	if err != nil {
		return c, err
	}
	for _, s := range durations {
		if s.Metric[model.BucketLabel] == "+Inf" {
			c.Slow += int64(s.Value)
		} else {
			c.Slow -= int64(s.Value)
		}
	}
	// The two metrics of a request may be scraped one before the other.
	c.Slow = max(0, min(c.Slow, c.Requests))
	return c, nil
}

// grown is by how much each series grew. One that is new, or that started again
// with its pod, grew from 0. Where there was no series at all, what came
// together is older than since, unless the workload is fresh: it isn't counted.
func (p *Prometheus) grown(ctx context.Context, series string, how counting) (model.Vector, error) {
	before, err := p.vector(ctx, series, how.since)
	if err != nil || len(before) == 0 && !how.fresh {
		return nil, err
	}
	after, err := p.vector(ctx, series, how.now)
	if err != nil {
		return nil, err
	}
	old := map[model.Fingerprint]model.SampleValue{}
	for _, s := range before {
		old[s.Metric.Fingerprint()] = s.Value
	}
	for _, s := range after {
		if had := old[s.Metric.Fingerprint()]; had <= s.Value {
			s.Value -= had
		}
	}
	return after, nil
}

// failed is whether a series counts answers that are the server's fault, as in
// queries.bad.
func failed(labels model.Metric) bool {
	if strings.HasPrefix(string(labels["response_code"]), "5") {
		return true
	}
	return slices.Contains(strings.Split(grpcErrors, "|"), string(labels["grpc_status"]))
}
