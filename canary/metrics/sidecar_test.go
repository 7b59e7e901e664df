package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const served = `# TYPE envoy_heddle_request_total counter
envoy_heddle_request_total{response_code="200",grpc_status="",source_identity="spiffe://cluster.local/ns/a/sa/b"} 90
envoy_heddle_request_total{response_code="200",grpc_status="14",source_identity="spiffe://cluster.local/ns/a/sa/b"} 3
envoy_heddle_request_total{response_code="503",grpc_status=""} 7
# TYPE envoy_heddle_request_duration_ms histogram
envoy_heddle_request_duration_ms_bucket{le="100"} 50
envoy_heddle_request_duration_ms_bucket{le="500"} 80
envoy_heddle_request_duration_ms_bucket{le="1000"} 95
envoy_heddle_request_duration_ms_bucket{le="+Inf"} 100
envoy_heddle_request_duration_ms_sum 12
envoy_heddle_request_duration_ms_count 100
# TYPE envoy_server_live gauge
envoy_server_live 1
`

func TestTotalsOfASidecar(t *testing.T) {
	t.Parallel()
	for limit, want := range map[time.Duration]Totals{
		500 * time.Millisecond: {Requests: 100, Bad: 10, Slow: 20, SlowKnown: true},
		501 * time.Millisecond: {Requests: 100, Bad: 10, Slow: 5, SlowKnown: true},
		2 * time.Second:        {Requests: 100, Bad: 10},
	} {
		got, err := ReadTotals(strings.NewReader(served), limit)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", limit, err, diff)
		}
	}
	if got, err := ReadTotals(strings.NewReader(""), time.Second); err != nil || got != (Totals{}) {
		t.Errorf("nothing yet: %+v %v", got, err)
	}
	if _, err := ReadTotals(strings.NewReader("<html>"), time.Second); err == nil {
		t.Error("a page was read as metrics")
	}
}

func TestTotalsSinceEarlierOnes(t *testing.T) {
	t.Parallel()
	early, late := Totals{Requests: 10, Bad: 1, Slow: 2}, Totals{Requests: 30, Bad: 5, Slow: 4, SlowKnown: true}
	if got, want := late.Since(early), (Totals{Requests: 20, Bad: 4, Slow: 2, SlowKnown: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := early.Since(late); got != early {
		t.Errorf("a sidecar that started again counts from 0: %+v", got)
	}
}

func FuzzReadTotals(f *testing.F) {
	f.Add(served)
	f.Add("envoy_heddle_request_total 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadTotals(strings.NewReader(text), time.Second)
		if err == nil && got.Slow < 0 {
			t.Errorf("%+v", got)
		}
	})
}
