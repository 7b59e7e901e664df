package metrics

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	t.Parallel()
	vector := func(values ...string) string {
		samples := []string{}
		for i, v := range values {
			samples = append(samples, fmt.Sprintf(`{"metric":{"n":"%d"},"value":[1,%q]}`, i, v))
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(samples, ",") + `]}}`
	}
	tests := map[string]struct {
		code    int
		body    string
		want    float64
		wantErr bool
	}{
		"takes the one value":        {200, vector("12.5"), 12.5, false},
		"takes nothing as no data":   {200, vector(), math.NaN(), false},
		"takes NaN as no data":       {200, vector("NaN"), math.NaN(), false},
		"keeps infinity as a number": {200, vector("+Inf"), math.Inf(1), false},
		"refuses two values":         {200, vector("1", "2"), 0, true},
		"reports an error":           {503, "", 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			p, err := New(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Measure(t.Context(), "shop", "cart", time.Minute, time.Unix(1, 0))
			if (err != nil) != tc.wantErr {
				t.Fatalf("error = %v", err)
			}
			if err == nil && got.Requests != tc.want && !(math.IsNaN(got.Requests) && math.IsNaN(tc.want)) {
				t.Errorf("requests = %v, want %v", got.Requests, tc.want)
			}
		})
	}
}

// FuzzQuote: no name gets out of its quotes.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"cart", `a"} or vector(1)`, `\`, "a\nb", `\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := strconv.Unquote(quote(s))
		if strings.ContainsAny(s, "\r\x00") || strings.ToValidUTF8(s, "") != s {
			t.Skip("no name has these")
		}
		if err != nil || got != s {
			t.Errorf("quote(%q) reads as %q, %v", s, got, err)
		}
	})
}
