package differential_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// smuggled are messages by which one request is to pass for none, two or
// another (11). Whatever becomes of them, the application must get nothing
// that the policy does not admit; want says what the proxy answers.
var smuggled = map[string]struct {
	raw  string
	want []int
}{
	"two lengths":              {"GET /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	"length and chunked":       {"GET /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	"chunked in another case":  {"GET /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{501, 400}},
	"a length with a sign":     {"GET /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: +31\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	"a space before the colon": {"GET /public/x HTTP/1.1\r\nHost: a\r\nContent-Length : 31\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{400}},
	"a folded line":            {"GET /public/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n Content-Length: 31\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", nil},
	"two in one write":         {"GET /public/x HTTP/1.1\r\nHost: a\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 403}},
	"a bare line feed":         {"GET /public/x HTTP/1.1\nHost: a\n\nGET /admin HTTP/1.1\nHost: a\n\n", nil},
	"h2c upgrade":              {"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", nil},
	"h2c upgrade, not allowed": {"GET /admin HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", []int{403}},
	"websocket, not allowed":   {"GET /admin HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n", []int{403}},
	"a tunnel":                 {"CONNECT 127.0.0.1:8081 HTTP/1.1\r\nHost: a\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{403}},
	"another's URL":            {"GET http://elsewhere/admin HTTP/1.1\r\nHost: a\r\n\r\n", []int{403}},
	"a URL that is a prefix":   {"GET http://elsewhere/public/../admin HTTP/1.1\r\nHost: /public/\r\n\r\n", []int{403}},
	"no host":                  {"GET /public/x HTTP/1.1\r\n\r\n", []int{400}},
	"two hosts":                {"GET /public/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", nil},
	"HTTP/1.0":                 {"GET /admin HTTP/1.0\r\nHost: a\r\n\r\n", []int{403}},
	"HTTP/0.9":                 {"GET /admin\r\n\r\n", nil},
	"a zero in a header":       {"GET /public/x HTTP/1.1\r\nHost: a\r\nX-Role: ad\x00min\r\n\r\n", []int{400}},
	"a header without a name":  {"GET /public/x HTTP/1.1\r\nHost: a\r\n: admin\r\n\r\n", []int{400}},
	"a space in a header name": {"GET /team HTTP/1.1\r\nHost: a\r\nX-Role\t: admin\r\n\r\n", []int{400}},
	"a trailer for a header":   {"POST /team HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Role\r\n\r\n0\r\nX-Role: admin\r\n\r\n", []int{403}},
}

// TestSmuggling sends messages that two readers might read differently.
func TestSmuggling(t *testing.T) {
	s := startSidecar(t, meshOf(corpusPolicy()))
	seen := startWitness(t)
	cert := s.certificate(t, web)
	to := netip.AddrPortFrom(netip.MustParseAddr(podAddress), portEcho)
	for name, tc := range smuggled {
		t.Run(name, func(t *testing.T) {
			before := seen.lines()
			got := exchange(t, to, cert, tc.raw)
			if tc.want != nil && (len(got) == 0 || len(got) > len(tc.want) && tc.want[0] == 400 || got[0] != tc.want[0] && got[0] != tc.want[len(tc.want)-1]) {
				t.Errorf("the proxy answers %v, want %v", got, tc.want)
			}
			for _, line := range seen.lines()[len(before):] {
				method, rest, _ := strings.Cut(line, " ")
				target, _, _ := strings.Cut(rest, " ")
				if method != http.MethodGet || !strings.HasPrefix(target, "/public/") {
					t.Errorf("the application got %q", line)
				}
			}
		})
	}
}

// exchange writes the bytes and returns the status of each answer until the
// proxy closes or has nothing more to say.
func exchange(t *testing.T, to netip.AddrPort, cert tls.Certificate, raw string) []int {
	t.Helper()
	conn, err := dialMesh(to, cert, "heddle")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	var out []int
	r := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return out
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		out = append(out, res.StatusCode)
	}
}

// witness is an application that writes down what it gets.
type witness struct {
	mu  sync.Mutex
	got []string
}

func (w *witness) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got[:len(w.got):len(w.got)]
}

// startWitness answers each head of a message with 200 and remembers its
// first line, and every line that looks like another's.
func startWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{}
	l := listen(t, podAddress, portEcho)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(conn)
		}
	}()
	return w
}

func (w *witness) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	body := "ok"
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.TrimSpace(line); {
		case strings.Contains(line, " HTTP/"):
			w.mu.Lock()
			w.got = append(w.got, line)
			w.mu.Unlock()
		case line == "":
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
				return
			}
		}
	}
}
