package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/canary/egress"
)

var anywhere = Caller{Guard: func(netip.Addr) error { return nil }}

func TestCall(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		codes   []int // one for each attempt
		retries int
		wantErr string
	}{
		"takes 200 for yes":          {codes: []int{200}},
		"takes 202 for yes":          {codes: []int{202}},
		"takes 204 for no":           {codes: []int{204}, wantErr: "hook gate: it answered 204"},
		"takes a redirect for no":    {codes: []int{302}, wantErr: "it answered 302"},
		"takes 403 for no":           {codes: []int{403}, wantErr: "it answered 403"},
		"asks again when told to":    {codes: []int{500, 503, 200}, retries: 2},
		"asks as often as told to":   {codes: []int{500, 503, 200}, retries: 1, wantErr: "it answered 503"},
		"keeps what is said private": {codes: []int{500}, wantErr: "it answered 500"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if want := `{"name":"cart","namespace":"shop","phase":"Progressing","checksum":"abc","metadata":{"cmd":"load"}}`; err != nil || string(body) != want || r.Method != http.MethodPost {
					t.Errorf("%s %s, want %s", r.Method, body, want)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.codes[attempts])
				_, _ = io.WriteString(w, "secret")
				attempts++
			}))
			t.Cleanup(server.Close)
			err := anywhere.Call(t.Context(), Hook{Name: "gate", URL: server.URL, Timeout: time.Second, Retries: tc.retries},
				Payload{Name: "cart", Namespace: "shop", Phase: "Progressing", Checksum: "abc", Metadata: map[string]string{"cmd": "load"}})
			if (err != nil) != (tc.wantErr != "") || err != nil && (!strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error = %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

func TestCallEnds(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	if err := anywhere.Call(t.Context(), Hook{Name: "slow", URL: server.URL, Timeout: 20 * time.Millisecond}, Payload{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
	if err := (Caller{Guard: egress.Outside}).Call(t.Context(), Hook{URL: server.URL, Timeout: time.Second}, Payload{}); !errors.Is(err, egress.ErrForbidden) {
		t.Errorf("error = %v", err)
	}
}
