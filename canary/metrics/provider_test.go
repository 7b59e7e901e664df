package metrics

import (
	"encoding/pem"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/canary/egress"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || r.URL.Path != "/tenant/api/v1/query" || r.Header.Get("X-Scope-Orgid") != "shop" ||
			user != "heddle" && r.Header.Get("Authorization") != "Bearer secret" || user == "heddle" && password != "pass" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"`+r.Form.Get("query")+`"]}}`)
	}))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	header := http.Header{"X-Scope-Orgid": {"shop"}}
	tests := map[string]struct {
		of      Provider
		want    float64
		wantErr string
	}{
		"takes a token":                 {Provider{Header: header, Token: "secret", CA: authority}, 7, ""},
		"takes a password":              {Provider{Header: header, Username: "heddle", Password: "pass", CA: authority}, 7, ""},
		"verifies nothing when told so": {Provider{Header: header, Token: "secret", InsecureSkipVerify: true}, 7, ""},
		"says that it was refused":      {Provider{Header: header, Token: "wrong", CA: authority}, 0, "403"},
		"verifies the certificate":      {Provider{Header: header, Token: "secret"}, 0, "certificate"},
		"refuses a CA that is none":     {Provider{Header: header, CA: []byte("x")}, 0, "ca.crt"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.of.Address = server.URL + "/tenant"
			p := &Prometheus{guard: func(netip.Addr) error { return nil }}
			got, err := p.Value(t.Context(), tc.of, "7", time.Unix(1, 0))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error = %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	p, err := New("http://prometheus.invalid")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Value(t.Context(), Provider{Address: server.URL, InsecureSkipVerify: true}, "7", time.Now()); !errors.Is(err, egress.ErrForbidden) {
		t.Errorf("loopback: %v", err)
	}
}

// TestCaseO46_AnswersThatAreNoNumber: each is told from the others, and none is
// taken for a number.
func TestCaseO46_AnswersThatAreNoNumber(t *testing.T) {
	t.Parallel()
	answers := make(chan func(http.ResponseWriter, *http.Request), 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // before that nobody notices that the caller has gone
		(<-answers)(w, r)
	}))
	defer server.Close()
	says := func(result string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`+result+`]}}`)
		}
	}
	p := &Prometheus{guard: func(netip.Addr) error { return nil }}
	tests := []struct {
		answer func(http.ResponseWriter, *http.Request)
		want   float64
		fails  string
	}{
		{says(``), math.NaN(), ""},
		{says(`{"metric":{},"value":[1,"NaN"]}`), math.NaN(), ""},
		{says(`{"metric":{},"value":[1,"+Inf"]}`), math.Inf(1), ""},
		{says(`{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"2"]}`), 0, "must return one value"},
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, 0, "503"},
		{func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, "deadline"},
	}
	for _, tc := range tests {
		answers <- tc.answer
		got, err := p.Value(t.Context(), Provider{Address: server.URL}, "x", time.Unix(1, 0))
		if tc.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("error = %v, want one with %q", err, tc.fails)
			}
			continue
		}
		if err != nil || got != tc.want && !(math.IsNaN(got) && math.IsNaN(tc.want)) {
			t.Errorf("got %v, %v, want %v", got, err, tc.want)
		}
	}
}
