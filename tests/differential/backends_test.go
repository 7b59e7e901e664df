package differential_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// backendHeader tells a backend's answer from a proxy's. The answer's body is
// the request target as it arrived, a line feed, and the path that the
// backend would act on.
const backendHeader = "X-Backend"

// A backend's port; nginx needs one for each version of HTTP.
const (
	portEcho   = 8081
	portMux    = 8082
	portTwice  = 8083
	portNginx  = 8084
	portNginx2 = 8085
	portTCP    = 8086
)

// startBackends starts all kinds on the pod's address and an echo on that of
// the pod without a sidecar. It returns whether nginx is among them.
func startBackends(t *testing.T) (nginx bool) {
	t.Helper()
	serveEcho(t, listen(t, podAddress, portEcho), "echo")
	serveEcho(t, listen(t, plainAddress, portEcho), "plain")
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { reply(w, r, r.URL.Path) })
	serveHTTP(t, listen(t, podAddress, portMux), "mux", mux)
	serveHTTP(t, listen(t, podAddress, portTwice), "twice", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply(w, r, resolve(unescape(unescape(pathOf(r.RequestURI)))))
	}))
	serveTCP(t, listen(t, podAddress, portTCP))
	return startNginx(t)
}

func listen(t *testing.T, host string, port uint16) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func reply(w http.ResponseWriter, r *http.Request, path string) {
	_, _ = fmt.Fprintf(w, "%s\n%s", r.RequestURI, path)
}

func serveHTTP(t *testing.T, l net.Listener, kind string, handler http.Handler) {
	t.Helper()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(backendHeader, kind)
			handler.ServeHTTP(w, r)
		}),
		DisableGeneralOptionsHandler: true,
		Protocols:                    &http.Protocols{},
		ReadHeaderTimeout:            time.Minute,
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
}

func pathOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

// unescape decodes as a careless application does: what is no encoding stays
// as it is.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '%' && i+2 < len(s) {
			if n, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil && n == 1 {
				out.WriteByte(c)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// resolve removes dot segments as a file system does, for both kinds of
// slash.
func resolve(path string) string {
	var kept []string
	for _, segment := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		switch segment {
		case ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") && len(kept) > 0 {
		out += "/"
	}
	return out
}

// serveEcho answers any HTTP/1 or HTTP/2 request without judging it: what
// arrives is what is told.
func serveEcho(t *testing.T, l net.Listener, kind string) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if start, err := r.Peek(len(http2.ClientPreface)); err == nil && string(start) == http2.ClientPreface {
					_, _ = r.Discard(len(start))
					echo2(conn, r, kind)
					return
				}
				echo1(conn, r, kind)
			}()
		}
	}()
}

func echo1(conn io.Writer, r *bufio.Reader, kind string) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		length := 0
		for {
			header, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if header == "\r\n" {
				break
			}
			if value, ok := strings.CutPrefix(strings.ToLower(header), "content-length:"); ok {
				_, _ = fmt.Sscan(value, &length)
			}
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return
		}
		method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		target := strings.TrimSuffix(rest, " HTTP/1.1")
		body := target + "\n" + pathOf(target)
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", backendHeader, kind, len(body))
		if method != http.MethodHead {
			answer += body
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func echo2(conn io.Writer, r io.Reader, kind string) {
	framer := http2.NewFramer(conn, r)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() && framer.WriteSettingsAck() != nil {
				return
			}
		case *http2.PingFrame:
			if !f.IsAck() && framer.WritePing(true, f.Data) != nil {
				return
			}
		case *http2.MetaHeadersFrame:
			target := f.PseudoValue("path")
			block.Reset()
			for _, h := range [][2]string{{":status", "200"}, {strings.ToLower(backendHeader), kind}} {
				_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
			}
			headOnly := f.PseudoValue("method") == http.MethodHead
			if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: headOnly}) != nil ||
				!headOnly && framer.WriteData(f.StreamID, true, []byte(target+"\n"+pathOf(target))) != nil {
				return
			}
		}
	}
}

// serveTCP answers a line with its name.
func serveTCP(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
					_, _ = io.WriteString(conn, "tcp\n")
				}
			}()
		}
	}()
}

const nginxConf = `daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events {}
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen %[2]s:%[3]d; listen %[2]s:%[4]d http2; keepalive_requests 1000000;
    location / { add_header X-Backend nginx always; return 200 "$request_uri\n$uri"; }
  }
}
`

// startNginx returns false where there is no nginx, and says why.
func startNginx(t *testing.T) bool {
	t.Helper()
	binary, err := exec.LookPath(os.Getenv(nginxBinary))
	if err != nil {
		t.Logf("SKIPPED: no nginx among the backends: %s", os.Getenv(nginxMissing))
		return false
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, podAddress, portNginx, portNginx2), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "-c", conf, "-p", dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nginx: %s", log.String())
		}
	})
	return true
}

// provideNginx finds nginx, or takes it out of Debian's package; the package
// is not installed, so nothing is started or left behind but a file in the
// cache.
func provideNginx() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "heddle", "nginx")
	path := filepath.Join(dir, "usr", "sbin", "nginx")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	script := `apt-get download -qq nginx || { apt-get update -qq && apt-get download -qq nginx; } && dpkg-deb -x nginx_*.deb . && rm -f nginx_*.deb`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("take it from Debian: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, nil
}
