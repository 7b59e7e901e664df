package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGetCountsAnswersByCodeAndVersion(t *testing.T) {
	t.Parallel()
	turn := 0
	srv := httptest.NewServer(handler(answer{Name: "cart", Version: "v3"}, 0.2, func() float64 { turn++; return float64(turn%100) / 100 }))
	defer srv.Close()
	var out strings.Builder
	if err := get(t.Context(), []string{"-n", "100", "-c", "1", srv.URL + "/items"}, &out); err != nil {
		t.Fatal(err)
	}
	var got counts
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	want := counts{
		Total: 100, ByCode: map[string]int{"200": 80, "500": 20},
		ByVersion: map[string]int{"v3": 100},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestAnswersOfTheMeshBelongToNoVersion(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	c := newCaller(http.MethodGet, srv.URL)
	c.call(t.Context())
	if got := c.tally.read(); got.ByCode["503"] != 1 || len(got.ByVersion) != 0 || got.Errors != 0 {
		t.Errorf("counts = %+v", got)
	}
}

func TestRequestsWithoutAnswerAreErrors(t *testing.T) {
	t.Parallel()
	c := newCaller(http.MethodGet, "http://127.0.0.1:1/")
	c.call(t.Context())
	if got := c.tally.read(); got.Total != 1 || got.Errors != 1 || got.LastError == "" {
		t.Errorf("counts = %+v", got)
	}
}

func TestArgumentsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"sell"}, {"get"}, {"get", "-n", "0", "http://x"}, {"load", "-rate", "0", "http://x"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
