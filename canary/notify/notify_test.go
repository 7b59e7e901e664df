package notify

import (
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite testdata")

var failed = Message{
	Namespace: "shop", Name: "cart", Reason: "RollingBack", Text: "success rate 80.0 %, wanted 99 % <!channel> & more", Phase: "RollingBack",
	Severity: Error, Weight: 0, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
}

func TestRender(t *testing.T) {
	t.Parallel()
	all := map[string]json.RawMessage{}
	for kind := range formats {
		body, err := Render(Provider{Type: kind, Channel: "#ops", Username: "heddle"}, failed)
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = body
	}
	got, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/formats.yaml", got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/formats.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("go test ./canary/notify -update rewrites it:\n%s", diff)
	}
	if _, err := Render(Provider{Type: "pager"}, failed); err == nil || !strings.Contains(err.Error(), `"pager"`) {
		t.Errorf("error = %v", err)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		if r.URL.Path == "/refuse/s3cret" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	s := Sender{Guard: func(netip.Addr) error { return nil }}
	for _, kind := range slices.Sorted(maps.Keys(formats)) {
		if err := s.Send(t.Context(), Provider{Type: kind, Address: server.URL + "/s3cret"}, failed); err != nil {
			t.Fatal(err)
		}
		want, _ := Render(Provider{Type: kind}, failed)
		if got := <-bodies; got != string(want) {
			t.Errorf("%s was sent %s", kind, got)
		}
	}
	for _, address := range []string{server.URL + "/refuse/s3cret", "http://127.0.0.1:1/s3cret", "http://[s3cret", "gopher://s3cret"} {
		err := s.Send(t.Context(), Provider{Type: "slack", Address: address}, failed)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error = %v", address, err)
		}
	}
}
