package metricsapi

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestQueries(t *testing.T) {
	t.Parallel()
	all, shop := queries("", time.Minute), queries(`sh"op`, time.Minute)
	if want := "sum by (destination_namespace, destination_kind, destination_name, pod, source_identity) ("; !strings.HasPrefix(all[0], want) || strings.Contains(all[0], "destination_namespace=") {
		t.Errorf("requests of all:\n%s", all[0])
	}
	for _, want := range []string{`destination_namespace="sh\"op"`, `destination_namespace!="sh\"op",source_identity=~"spiffe://[^/]+/ns/sh\"op/sa/.*"`} {
		if !strings.Contains(shop[2], want) {
			t.Errorf("buckets lack %s:\n%s", want, shop[2])
		}
	}
}

// Quantiles are within the buckets, in order, and those of nothing are 0.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s sum
		s.buckets = map[float64]float64{}
		count := 0.0
		for _, limit := range []float64{1, 5, 10, 100, math.Inf(1)} {
			count += float64(rapid.IntRange(0, 50).Draw(t, "requests"))
			s.buckets[limit] = count
		}
		before := 0.0
		for _, q := range []float64{0.5, 0.9, 0.99} {
			got := s.quantile(q)
			if got < before || got > 100 || math.IsNaN(got) || count == 0 && got != 0 {
				t.Fatalf("quantile %g of %v is %g after %g", q, s.buckets, got, before)
			}
			before = got
		}
	})
}

func TestGather(t *testing.T) {
	t.Parallel()
	sample := func(value float64, le string) *model.Sample {
		m := model.Metric{"destination_namespace": "shop", "destination_kind": "Deployment", "destination_name": "cart", "pod": "cart-1", "source_identity": "spiffe://cluster.local/ns/front/sa/web"}
		if le != "" {
			m["le"] = model.LabelValue(le)
		}
		return &model.Sample{Metric: m, Value: model.SampleValue(value)}
	}
	got := gather(model.Vector{sample(3, "")}, model.Vector{sample(math.NaN(), "")}, model.Vector{sample(2, "10"), sample(3, "+Inf"), sample(1, "x")})
	if len(got) != 1 || got[0].Source != (mesh.Identity{Namespace: "front", ServiceAccount: "web"}) || got[0].Requests != 3 || got[0].Failures != 0 ||
		!maps.Equal(got[0].Buckets, map[float64]float64{10: 2, math.Inf(1): 3}) {
		t.Errorf("%+v", got[0])
	}
}
