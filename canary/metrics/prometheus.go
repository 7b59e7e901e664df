// Package metrics measures a candidate by what Prometheus has gathered from
// the sidecars in front of it.
//
//	workload, window -> queries -> Prometheus -> analysis.Sample
package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/egress"
)

// minWindow has room for two scrapes, without which nothing can be said.
const minWindow = 15 * time.Second

// patience is how long one query may take.
const patience = 5 * time.Second

// Prometheus is safe for concurrent use.
type Prometheus struct {
	api   prometheusv1.API
	guard egress.Guard // of addresses that users name
}

// New doesn't connect yet.
func New(url string) (*Prometheus, error) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, fmt.Errorf("prometheus at %q: %w", url, err)
	}
	return &Prometheus{api: prometheusv1.NewAPI(client), guard: egress.Outside}, nil
}

// Measure looks at a Deployment's inbound requests in the window before now.
// What there is no data for is NaN in the sample.
func (p *Prometheus) Measure(ctx context.Context, namespace, deployment string, window time.Duration, now time.Time) (analysis.Sample, error) {
	q := newQueries(namespace, deployment, window)
	var sample analysis.Sample
	for _, one := range []struct {
		name, query string
		into        *float64
	}{
		{"requests", q.requests(), &sample.Requests},
		{"errors", q.bad(), &sample.Bad},
		{"latency", q.latency(), &sample.LatencyMS},
	} {
		value, err := p.ask(ctx, one.query, now)
		if err != nil {
			return analysis.Sample{}, fmt.Errorf("query %s: %w", one.name, err)
		}
		*one.into = value
	}
	return sample, nil
}

func (p *Prometheus) vector(ctx context.Context, query string, now time.Time) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	value, _, _, err := p.api.Query(ctx, query, now)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says which query
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, nil
	}
	return nil, fmt.Errorf("got a %T, not a vector or a number", value)
}

func (p *Prometheus) ask(ctx context.Context, query string, now time.Time) (float64, error) {
	vector, err := p.vector(ctx, query, now)
	switch {
	case err != nil:
		return 0, err
	case len(vector) == 0:
		return math.NaN(), nil
	case len(vector) > 1:
		return 0, errors.New("a query must return one value")
	}
	return float64(vector[0].Value), nil
}

// grpcErrors are gRPC's errors of the server.
const grpcErrors = "2|4|12|13|14|15"

// queries are about one workload and window.
type queries struct {
	labels, window string
}

func newQueries(namespace, deployment string, window time.Duration) queries {
	return queries{
		labels: "destination_namespace=" + quote(namespace) + `,destination_kind="Deployment",destination_name=` + quote(deployment),
		window: fmt.Sprintf("[%dms]", max(window, minWindow).Milliseconds()),
	}
}

// increase is the growth of a metric's series that have the labels.
func (q queries) increase(metric, labels string) string {
	return "increase(" + q.series(metric, labels) + q.window + ")"
}

func (q queries) series(metric, labels string) string {
	return `{__name__=~"(envoy_)?heddle_` + metric + `",` + q.labels + labels + "}"
}

func (q queries) requests() string { return "sum(" + q.increase("request_total", "") + ")" }

// bad counts 5xx and, of the others, gRPC's errors of the server: Unknown,
// DeadlineExceeded, Unimplemented, Internal, Unavailable and DataLoss.
func (q queries) bad() string {
	return "(sum(" + q.increase("request_total", `,response_code=~"5.."`) + ") or vector(0)) + (sum(" +
		q.increase("request_total", `,response_code!~"5..",grpc_status=~"`+grpcErrors+`"`) + ") or vector(0))"
}

func (q queries) latency() string { return "histogram_quantile(0.99, " + q.durations() + ")" }

func (q queries) durations() string {
	return "sum by (le) (" + q.increase("request_duration_ms_bucket", "") + ")"
}

// quote makes a string literal of PromQL.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
