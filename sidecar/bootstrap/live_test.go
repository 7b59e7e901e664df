//go:build linux

package bootstrap

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
	"github.com/heddle-mesh/heddle/sidecar/redirect"
)

// TestLive starts a real Envoy with the bootstrap in a network namespace with
// the real redirection, as the proxy's user, beside a stand-in for the
// operator. The steps build on one another.
func TestLive(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: a network namespace needs root")
	}
	envoy := envoytest.Binary(t)
	runtime.LockOSThread() // and never unlock: the thread dies with its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("skipped: no network namespaces here: %v", err)
	}
	const podIP = "10.244.0.7"
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "ip", "addr", "add", podIP+"/32", "dev", "lo")

	p := params()
	p.Settings.XDSAddress = "127.0.0.1:15012"
	p.Settings.TCPProbePorts = []uint16{5432, 8080}
	p.Settings.MemoryLimitBytes = 512 << 20
	operator := &fakeOperator{hold: true, changed: make(chan struct{}), cut: make(chan struct{})}
	root := operator.serve(t, listen(t, "127.0.0.1:15012"), p.Settings.XDSServerName)
	redirectAll(t)
	dir := sharedDir(t)
	config := inDir(t, dir, p)
	identity := volume{t: t, dir: filepath.Join(dir, "identity")}
	identity.set("1", map[string]string{"token": "first\n", "ca.crt": string(root)})
	startEnvoy(t, envoy, dir, config)

	app := listen(t, podIP+":8080")
	go discard(app)
	go discard(listen(t, "0.0.0.0:15006")) // accepts anything, as the real inbound listener
	health := func(method, path string) int { return ask(method, heddlev1alpha1.PortHealth, path) }
	stats := func(method, path string) int { return ask(method, heddlev1alpha1.PortStats, path) }

	eventually(t, "the operator sees a stream", func() bool { return len(operator.seen()) > 0 })
	if got := operator.seen()[0]; got != "Bearer first" {
		t.Errorf("authorization is %q", got)
	}
	if got := health("GET", ReadyPath); got != 0 {
		t.Errorf("before the first listeners the health port answers %d", got)
	}

	identity.set("2", map[string]string{"token": "second\n", "ca.crt": string(root)})
	time.Sleep(500 * time.Millisecond) // nothing tells when Envoy has read a file
	operator.disconnect()
	eventually(t, "the next stream has the rotated token", func() bool {
		seen := operator.seen()
		return seen[len(seen)-1] == "Bearer second"
	})

	eventually(t, "a proxy without identity isn't ready", func() bool { return health("GET", ReadyPath) == 503 })
	operator.deliver(readyCluster(t))
	eventually(t, "a proxy with identity is ready", func() bool { return health("GET", ReadyPath) == 200 })

	eventually(t, "an open port passes its probe", func() bool { return health("GET", "/probe/tcp/8080") == 200 })
	if got := health("GET", "/probe/tcp/5432"); got != 503 {
		t.Errorf("the probe of a closed port answers %d", got)
	}
	_ = app.Close()
	eventually(t, "a port that closes fails its probe", func() bool { return health("GET", "/probe/tcp/8080") == 503 })

	for path, want := range map[string]int{
		"GET /": 404, "POST /ready": 404, "GET /ready/": 404, "GET /ready?x": 404, "GET /probe/tcp/1": 404, "POST /probe/tcp/8080": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := health(method, path); got != want {
			t.Errorf("health port: %s %s answers %d, want %d", method, path, got, want)
		}
	}
	for path, want := range map[string]int{
		"GET /stats/prometheus": 200, "POST /stats/prometheus": 404, "GET /stats/prometheus?filter=x": 404, "GET /stats": 404,
		"POST /quitquitquit": 404, "GET /config_dump": 404, "GET /stats/prometheus/../../config_dump": 404, "GET //stats/prometheus": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		if got := stats(method, path); got != want {
			t.Errorf("stats port: %s %s answers %d, want %d", method, path, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "state", "admin.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin socket: %v, %v", info, err)
	}
}

// sharedDir is a temporary directory that the proxy's user can use.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func startEnvoy(t *testing.T, binary, dir, config string) {
	t.Helper()
	raw, err := os.ReadFile(binary) // its own folder may be closed to that user
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "envoy")
	if err := os.WriteFile(own, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(filepath.Join(dir, "state"), func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, heddlev1alpha1.ProxyUID, heddlev1alpha1.ProxyUID)
	})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(own, "-c", config, "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: heddlev1alpha1.ProxyUID, Gid: heddlev1alpha1.ProxyUID, NoSetGroups: true},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("envoy says:\n%s", log.String())
		}
	})
}

func redirectAll(t *testing.T) {
	t.Helper()
	rules, err := redirect.Rules(redirect.Config{
		OutboundPort: heddlev1alpha1.PortOutbound, InboundPort: heddlev1alpha1.PortInbound,
		OpenPorts: []uint16{heddlev1alpha1.PortStats, heddlev1alpha1.PortHealth}, ProxyUID: heddlev1alpha1.ProxyUID,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := redirect.Apply(rules); err != nil {
		t.Fatal(err)
	}
}

// readyCluster stands in for the mutual TLS one that the operator delivers.
func readyCluster(t *testing.T) *anypb.Any {
	t.Helper()
	l := listen(t, "127.0.0.1:15022")
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(l) }()
	packed, err := anypb.New(&clusterv3.Cluster{
		Name:                 ClusterReady,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(time.Second),
		LoadAssignment:       assignment(ClusterReady, socketAddress("127.0.0.1", heddlev1alpha1.PortReady)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// volume is a directory as kubelet writes it: files are links through ..data,
// which is swapped at once.
type volume struct {
	t   *testing.T
	dir string
}

func (v volume) set(version string, files map[string]string) {
	v.t.Helper()
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(v.dir, ".."+version), 0o755))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(v.dir, ".."+version, name), []byte(content), 0o644))
	}
	must(os.Symlink(".."+version, filepath.Join(v.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
	for name := range files {
		if _, err := os.Lstat(filepath.Join(v.dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)))
		}
	}
}

// ask returns the status of one request from this thread's namespace, 0 if
// there is none.
func ask(method string, port int, path string) int {
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr("10.244.0.7"), uint16(port)).String(), time.Second)
	if err != nil {
		return 0
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: pod\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path); err != nil {
		return 0
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not within 15 s: %s", what)
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func discard(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("skipped: %s %v: %v: %s", name, args, err, out)
	}
}
