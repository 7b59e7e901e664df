package metrics

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
)

// series is one counter of a workload: its value at the last look and now. A
// negative value is none.
type series struct {
	workload, metric string
	labels           map[string]string
	before, now      string
}

var destination = regexp.MustCompile(`destination_name="([^"]*)"`)

// prometheus answers with the series that a query names, and for the primary's
// past with what it is told.
func prometheus(t *testing.T, all []series, past map[string]string) *Prometheus {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, result := r.FormValue("query"), []any{}
		add := func(labels map[string]string, value string) {
			result = append(result, map[string]any{"metric": labels, "value": []any{1, value}})
		}
		if strings.Contains(query, "increase(") {
			for name, value := range past {
				if le, isBucket := strings.CutPrefix(name, "le "); isBucket && strings.HasPrefix(query, "sum by (le)") {
					add(map[string]string{"le": le}, value)
				} else if name == "requests" && strings.HasPrefix(query, "sum(") || name == "errors" && strings.HasPrefix(query, "(sum(") {
					add(nil, value)
				}
			}
		} else {
			for _, s := range all {
				value := s.now
				if r.FormValue("time") == "1000" {
					value = s.before
				}
				if value == "" || destination.FindStringSubmatch(query)[1] != s.workload || !strings.Contains(query, s.metric) {
					continue
				}
				if le := s.labels["le"]; le != "" && le != "+Inf" && !strings.Contains(query, "le=~\""+le+"|") {
					continue
				}
				labels := maps.Clone(s.labels)
				labels["__name__"] = s.metric
				add(labels, value)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	}))
	t.Cleanup(server.Close)
	p, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLook(t *testing.T) {
	t.Parallel()
	const requests, durations = "heddle_request_total", "heddle_request_duration_ms_bucket"
	code := func(pod, code string) map[string]string { return map[string]string{"pod": pod, "response_code": code} }
	bucket := func(le string) map[string]string { return map[string]string{"le": le} }
	past := map[string]string{"requests": "1000.4", "errors": "10", "le 100": "900", "le 250": "995", "le +Inf": "1000"}
	primary := []series{
		{"cart-primary", requests, code("a", "200"), "500", "590"},
		{"cart-primary", requests, code("a", "503"), "", "2"},   // the first of its kind
		{"cart-primary", requests, code("b", "200"), "70", "8"}, // started again
		{"cart-primary", requests, code("c", "200"), "40", ""},  // gone
		{"cart-primary", durations, bucket("100"), "0", "50"},
		{"cart-primary", durations, bucket("250"), "600", "690"},
		{"cart-primary", durations, bucket("+Inf"), "610", "710"},
	}
	canary := []series{
		{"cart", requests, code("x", "200"), "", "18"},
		{"cart", requests, map[string]string{"pod": "x", "response_code": "200", "grpc_status": "13"}, "", "2"},
		{"cart", durations, bucket("250"), "", "15"},
		{"cart", durations, bucket("+Inf"), "", "20"},
	}
	before := engine.Counts{Requests: 1000, Errors: 10, Slow: 5}
	tests := map[string]struct {
		series []series
		past   map[string]string
		e      engine.Evidence
		want   analysis.Look
	}{
		"counts what is new, resets and first answers": {
			append(primary, canary...), past,
			engine.Evidence{},
			analysis.Look{Canary: engine.Counts{Requests: 20, Errors: 2, Slow: 5}, Primary: engine.Counts{Requests: 100, Errors: 2, Slow: 10}, Before: before, SlowKnown: true},
		},
		"asks for the past once": {
			append(primary, canary...), past,
			engine.Evidence{Primary: engine.Counts{Requests: 1}},
			analysis.Look{Canary: engine.Counts{Requests: 20, Errors: 2, Slow: 5}, Primary: engine.Counts{Requests: 100, Errors: 2, Slow: 10}, SlowKnown: true},
		},
		"doesn't know what is slow without a past": {
			canary, nil,
			engine.Evidence{},
			analysis.Look{Canary: engine.Counts{Requests: 20, Errors: 2}},
		},
		"counts nothing twice after a gap": {
			canary, past,
			engine.Evidence{Canary: engine.Counts{Requests: 7}, Primary: engine.Counts{Requests: 1}},
			analysis.Look{SlowKnown: true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.e.CountedAt = time.Unix(1000, 0)
			got, err := prometheus(t, tc.series, tc.past).Look(t.Context(), Pair{"shop", "cart", "cart-primary"}, tc.e, time.Unix(1060, 0))
			if err != nil || got != tc.want {
				t.Errorf("Look = %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}
