package metricsapi

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// patience is how long one query may take.
const patience = 10 * time.Second

// Prometheus is where flows come from. It is safe for concurrent use.
type Prometheus struct{ api prometheusv1.API }

// NewPrometheus doesn't connect yet.
func NewPrometheus(url string) (*Prometheus, error) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, fmt.Errorf("prometheus at %q: %w", url, err)
	}
	return &Prometheus{api: prometheusv1.NewAPI(client)}, nil
}

// Flows returns those of the window before now that have to do with the
// namespace: its pods answered, or its service accounts called. An empty
// namespace is all of them.
func (p *Prometheus) Flows(ctx context.Context, namespace string, window time.Duration, now time.Time) ([]*Flow, error) {
	var answers [3]model.Vector
	for i, query := range queries(namespace, window) {
		vector, err := p.ask(ctx, query, now)
		if err != nil {
			return nil, err
		}
		answers[i] = vector
	}
	return gather(answers[0], answers[1], answers[2]), nil
}

func (p *Prometheus) ask(ctx context.Context, query string, now time.Time) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	value, _, _, err := p.api.Query(ctx, query, now)
	if err != nil {
		return nil, err //nolint:wrapcheck // the handler says that it is Prometheus's
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("got a %T, not a vector", value)
	}
	return vector, nil
}

// failed are answers that are the server's fault, as for canaries: 5xx, and of
// gRPC Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss.
var failed = []string{`response_code=~"5.."`, `response_code!~"5..",grpc_status=~"2|4|12|13|14|15"`}

// queries ask for requests, failures and buckets.
func queries(namespace string, window time.Duration) [3]string {
	const by = "destination_namespace, destination_kind, destination_name, pod, source_identity"
	about := []string{""}
	if namespace != "" {
		about = []string{
			"destination_namespace=" + quote(namespace),
			"destination_namespace!=" + quote(namespace) + ",source_identity=~" + quote("spiffe://[^/]+/ns/"+regexp.QuoteMeta(namespace)+"/sa/.*"),
		}
	}
	grown := func(metric string, filters ...string) string {
		var terms []string
		for _, of := range about {
			for _, filter := range filters {
				terms = append(terms, growth(metric, strings.Trim(of+","+filter, ","), window))
			}
		}
		return strings.Join(terms, " or ")
	}
	return [3]string{
		"sum by (" + by + ") (" + grown("request_total", "") + ")",
		"sum by (" + by + ") (" + grown("request_total", failed...) + ")",
		"sum by (" + by + ", le) (" + grown("request_duration_ms_bucket", "") + ")",
	}
}

// growth is by how much each counter has grown in the window, to the unit: what a
// counter has when it is first seen counts, since a sidecar has no series before
// the first request, and so does what is left of pods that are gone. One that began
// anew counts from zero. Of a sidecar that is older than the window and was not
// watched when it began only what is seen to grow counts, or all that it ever
// answered would after Prometheus has lost its data.
func growth(metric, labels string, window time.Duration) string {
	selector := `{__name__=~"(envoy_)?heddle_` + metric + `"`
	if labels != "" {
		selector += "," + labels
	}
	selector += "}"
	w := fmt.Sprintf("%dms", window.Milliseconds())
	now := "last_over_time(" + selector + "[" + w + "])"
	known := now + " - " + selector + " offset " + w
	seen := now + " - min_over_time(" + selector + "[" + w + "])"
	late := fmt.Sprintf("last_over_time(%[1]s[%[2]s]) > %[3]g unless on (job, instance) %[1]s offset %[2]s", uptime, w, window.Seconds())
	return "((" + known + " >= 0) or (" + now + " unless on (job, instance) (" + late + ")) or (" + seen + "))"
}

// uptime is for how many seconds a sidecar has run.
const uptime = "envoy_server_uptime"

// quote makes a string literal of PromQL.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
