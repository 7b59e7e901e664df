package differential_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The cases here are reports from the field, by the numbers of
// docs/reference/conformance.md, about what is on the wire: an application's
// connection to a Service goes out by the sidecar, comes in by it over mutual
// TLS, and ends at an application.

func (s *sidecar) serviceAt(name string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(s.snapshot.Services[mesh.ServiceKey{Namespace: "shop", Name: name}].Addresses[0], port)
}

// converse writes to the address and returns the answers, as many as there
// are messages, and whether the connection was closed after them.
func converse(t *testing.T, to netip.AddrPort, messages ...string) (all []*http.Response, closed bool) {
	t.Helper()
	conn, err := dialPlain(to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	for _, message := range messages {
		if _, err := io.WriteString(conn, message); err != nil {
			t.Fatalf("%v after %d answers", err, len(all))
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%v after %d answers", err, len(all))
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		all = append(all, res)
	}
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = r.ReadByte()
	return all, err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestCasesOfHTTP(t *testing.T) {
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	startBackends(t)
	to := s.serviceAt("echo", portEcho)
	backend := func(res *http.Response) string { return res.Header.Get(backendHeader) }

	t.Run("CaseO70_HTTP10", func(t *testing.T) {
		for name, message := range map[string]string{"with a host": "GET / HTTP/1.0\r\nHost: echo\r\n\r\n", "without": "GET / HTTP/1.0\r\n\r\n"} {
			res, closed := converse(t, to, message)
			if res[0].StatusCode != 200 || backend(res[0]) != "echo" || !closed {
				t.Errorf("%s: %s of %q, closed %v", name, res[0].Status, backend(res[0]), closed)
			}
		}
	})
	t.Run("CaseO71_Hosts", func(t *testing.T) {
		hosts := []string{"echo", "ECHO", "echo.shop", "echo.shop.svc", "echo.shop.svc.cluster.local", to.Addr().String(), "nosuch.example.test", "plain.shop"}
		for _, host := range hosts {
			for _, form := range []string{host, host + ":" + fmt.Sprint(portEcho), host + ".", host + ".:" + fmt.Sprint(portEcho)} {
				res, _ := converse(t, to, "GET / HTTP/1.1\r\nHost: "+form+"\r\n\r\n")
				if res[0].StatusCode != 200 || backend(res[0]) != "echo" {
					t.Errorf("%s: %s of %q, want the Service that is dialled", form, res[0].Status, backend(res[0]))
				}
			}
		}
	})
	t.Run("CaseO75_LargeHeaders", func(t *testing.T) {
		for size, want := range map[int]int{59: 200, 70: 431, 200: 431} {
			res, _ := converse(t, to, "GET / HTTP/1.1\r\nHost: echo\r\nCookie: a="+strings.Repeat("b", size<<10)+"\r\n\r\n")
			if res[0].StatusCode != want {
				t.Errorf("%d KiB: %s, want %d", size, res[0].Status, want)
			}
		}
	})
}

func TestCaseO67_ServersThatSpeakFirst(t *testing.T) {
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	l := listen(t, podAddress, portTCP)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_ = conn.Close()
		}
	}()
	for range 2 { // the first one waits for the cluster, too
		begin := time.Now()
		conn, err := dialPlain(s.serviceAt("tcp", portTCP))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(deadline))
		line, err := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		if err != nil || line != "220 hello\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		// An inspector on the way would take its whole timeout.
		if took := time.Since(begin); took > 400*time.Millisecond {
			t.Errorf("the greeting took %s", took)
		}
	}
}

func TestCaseO69_WebSockets(t *testing.T) {
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self, Closed: true, Grants: []mesh.Grant{{
		Sources: []mesh.Identity{self}, HTTP: []mesh.HTTPMatch{{Name: "ws", Methods: []string{"GET"}, PathRegex: "/ws"}},
	}}}))
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	})}
	t.Cleanup(func() { _ = server.Close() })
	l := listen(t, podAddress, portEcho)
	go func() { _ = server.Serve(l) }()

	upgrade := func(path string) (net.Conn, *bufio.Reader, int) {
		conn, err := dialPlain(s.serviceAt("echo", portEcho))
		if err != nil {
			t.Error(err)
			return nil, nil, 0
		}
		_ = conn.SetDeadline(time.Now().Add(deadline))
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: echo\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Error(err)
			return conn, r, 0
		}
		_ = res.Body.Close()
		return conn, r, res.StatusCode
	}
	var sockets sync.WaitGroup
	for i := range 20 {
		sockets.Go(func() {
			conn, r, code := upgrade("/ws")
			if conn == nil {
				return
			}
			defer conn.Close()
			want := fmt.Sprintf("frame %d\n", i)
			_, _ = io.WriteString(conn, want)
			if got, err := r.ReadString('\n'); code != 101 || err != nil || got != want {
				t.Errorf("%d, echoed %q for %q: %v", code, got, want, err)
			}
		})
	}
	sockets.Wait()
	conn, _, code := upgrade("/admin")
	if conn != nil {
		_ = conn.Close()
	}
	if code != 403 {
		t.Errorf("another path: %d", code)
	}
}

func TestCaseO74_HeadersKeepTheirValues(t *testing.T) {
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	serveHTTP(t, listen(t, podAddress, portEcho), "echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Reply-ID", "reply to "+r.Header.Get("X-Team-ID"))
	}))
	res, _ := converse(t, s.serviceAt("echo", portEcho), "GET / HTTP/1.1\r\nHost: echo\r\nX-Team-ID: MixedCase 7\r\n\r\n")
	if got := res[0].Header.Get("X-Reply-ID"); got != "reply to MixedCase 7" {
		t.Errorf("%q", got)
	}
}

// TestCaseO72_ConnectionsThatTheApplicationCloses has an application close
// what is idle just when the next request comes, each time. A read is tried
// again; what may have been done is not, so one that was on its way fails.
func TestCaseO72_ConnectionsThatTheApplicationCloses(t *testing.T) {
	const idle, times = 25 * time.Millisecond, 150
	s := startSidecar(t, meshOf(&mesh.Policy{Destination: self}))
	var done atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Minute, IdleTimeout: idle, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { done.Add(1) })}
	t.Cleanup(func() { _ = server.Close() })
	l := listen(t, podAddress, portEcho)
	go func() { _ = server.Serve(l) }()

	tick := time.NewTicker(idle)
	defer tick.Stop()
	for method, spared := range map[string]int{"GET": 0, "POST": times / 5} {
		done.Store(0)
		failed := 0
		for range times {
			<-tick.C
			res, _ := converse(t, s.serviceAt("echo", portEcho), method+" / HTTP/1.1\r\nHost: echo\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if res[0].StatusCode != http.StatusOK {
				failed++
			}
		}
		if failed > spared {
			t.Errorf("%d of %d %s failed", failed, times, method)
		}
		if got := int(done.Load()); method == "POST" && got != times-failed {
			t.Errorf("of %d POST that succeeded the application did %d", times-failed, got)
		}
	}
}
