package metrics

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Totals are what one sidecar has counted of the requests to its app since it
// started.
type Totals struct {
	Requests, Bad float64
	Slow          float64 // that certainly took longer than was asked for
	SlowKnown     bool
}

// Since is what came since earlier totals; a sidecar that has started again has
// counted from 0.
func (t Totals) Since(earlier Totals) Totals {
	if t.Requests < earlier.Requests {
		return t
	}
	// The metrics of a request may be written one before the other.
	return Totals{Requests: t.Requests - earlier.Requests, Bad: math.Max(0, t.Bad-earlier.Bad), Slow: math.Max(0, t.Slow-earlier.Slow), SlowKnown: t.SlowKnown}
}

// ReadTotals reads what a sidecar serves to Prometheus, in the text format. Slow
// are the requests beyond the first bucket that holds all that took no longer than
// latency.
func ReadTotals(r io.Reader, latency time.Duration) (Totals, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return Totals{}, fmt.Errorf("metrics of a sidecar: %w", err)
	}
	var t Totals
	for name, family := range families {
		switch strings.TrimPrefix(name, "envoy_") {
		case "heddle_request_total":
			for _, m := range family.GetMetric() {
				n := m.GetCounter().GetValue() + m.GetUntyped().GetValue()
				t.Requests += n
				if failed(labelsOf(m)) {
					t.Bad += n
				}
			}
		case "heddle_request_duration_ms":
			for _, m := range family.GetMetric() {
				slow, known := beyond(m.GetHistogram(), latency)
				t.Slow += slow
				t.SlowKnown = t.SlowKnown || known
			}
		}
	}
	return t, nil
}

func labelsOf(m *dto.Metric) model.Metric {
	labels := model.Metric{}
	for _, l := range m.GetLabel() {
		labels[model.LabelName(l.GetName())] = model.LabelValue(l.GetValue())
	}
	return labels
}

// beyond counts what took longer than the limit for certain; where no bucket ends
// above the limit nothing is known.
func beyond(h *dto.Histogram, limit time.Duration) (float64, bool) {
	ms := float64(limit) / float64(time.Millisecond)
	edge, below := math.Inf(1), 0.0
	for _, b := range h.GetBucket() {
		if bound := b.GetUpperBound(); bound >= ms && bound < edge {
			edge, below = bound, float64(b.GetCumulativeCount())
		}
	}
	if math.IsInf(edge, 1) {
		return 0, false
	}
	return math.Max(0, float64(h.GetSampleCount())-below), true
}
