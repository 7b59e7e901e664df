package egress

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestOutside(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"10.96.0.1": true, "192.168.1.1": true, "8.8.8.8": true, "fd00::1": true, "2001:db8::1": true,
		"127.0.0.1": false, "127.8.0.1": false, "169.254.169.254": false, "0.0.0.0": false, "224.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
	}
	for address, want := range tests {
		if err := Outside(netip.MustParseAddr(address)); (err == nil) != want {
			t.Errorf("Outside(%s) = %v", address, err)
		}
	}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(request)
}

func TestClient(t *testing.T) {
	t.Parallel()
	called := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called++
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 2*longest))
	}))
	defer server.Close()
	for _, host := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		response, err := get(t, Client(Outside, nil), host)
		if err == nil {
			_ = response.Body.Close()
		}
		if !errors.Is(err, ErrForbidden) || called != 0 {
			t.Fatalf("%s: %v, %d calls", host, err, called)
		}
	}
	all := Client(func(netip.Addr) error { return nil }, nil)
	response, err := get(t, all, server.URL+"/away")
	if err != nil || response.StatusCode != http.StatusFound {
		t.Fatalf("a redirect: %v, %v", response, err)
	}
	_ = response.Body.Close()
	response, err = get(t, all, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || len(body) != longest {
		t.Errorf("read %d bytes, %v", len(body), err)
	}
}
