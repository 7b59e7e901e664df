package xds_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
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

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"golang.org/x/sys/unix"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/redirect"
)

// Addresses of the two ends: the pod of the proxy under test and everything
// else, the node among it.
const (
	podIP  = "10.9.0.2"
	nodeIP = "10.9.0.1"
)

// network is a network namespace with a thread that lives in it.
type network struct {
	work chan func()
	tid  int
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread dies with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		n.tid = unix.Gettid()
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { close(n.work) })
	return n
}

// in runs f on the namespace's thread: sockets that it opens and programs that
// it starts are in the namespace.
func in[T any](n *network, f func() (T, error)) (T, error) {
	var (
		out  T
		err  error
		done = make(chan struct{})
	)
	n.work <- func() {
		out, err = f()
		close(done)
	}
	<-done
	return out, err
}

func (n *network) ip(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		out, err := in(n, func() ([]byte, error) { return exec.Command("ip", strings.Fields(line)...).CombinedOutput() })
		if err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
}

func (n *network) listen(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := in(n, func() (net.Listener, error) { return net.Listen("tcp4", fmt.Sprintf(":%d", port)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (n *network) dial(to string) (net.Conn, error) {
	return in(n, func() (net.Conn, error) { return net.DialTimeout("tcp4", to, 5*time.Second) })
}

func (n *network) serve(t *testing.T, port int, config *tls.Config, handler http.HandlerFunc) {
	t.Helper()
	l := n.listen(t, port)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: deadline}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
}

// sidecar is a proxy in a pod with the pod's own redirection, which runs as
// the proxy's user. Applications run in pod, callers in peer.
type sidecar struct {
	*proxy
	pod, peer *network
}

func startSidecar(t *testing.T, snapshot *mesh.Snapshot) *sidecar {
	t.Helper()
	binary := envoyBinary(t)
	s := &sidecar{pod: newNetwork(t), peer: newNetwork(t)}
	s.peer.ip(t, fmt.Sprintf("link add name veth type veth peer name eth0 netns %d", s.pod.tid),
		"link set lo up", "link set veth up", "addr add "+nodeIP+"/24 dev veth")
	s.pod.ip(t, "link set lo up", "link set eth0 up", "addr add "+podIP+"/24 dev eth0", "route add default via "+nodeIP)
	rules, err := redirect.Rules(redirect.Config{
		OutboundPort: heddlev1alpha1.PortOutbound, InboundPort: heddlev1alpha1.PortInbound,
		OpenPorts: []uint16{heddlev1alpha1.PortStats, heddlev1alpha1.PortHealth}, ProxyUID: heddlev1alpha1.ProxyUID,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in(s.pod, func() (any, error) { return nil, redirect.Apply(rules) }); err != nil {
		t.Fatal(err)
	}
	var config string
	s.proxy, config = newProxy(t, snapshot)
	ownedByProxy(t, filepath.Dir(config))
	// By its descriptor: the proxy's user may not look into our cache.
	program, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-c", config, "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart",
		"--drain-time-s", "1", "--drain-strategy", "immediate")
	cmd.ExtraFiles = []*os.File{program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: heddlev1alpha1.ProxyUID, Gid: heddlev1alpha1.ProxyUID}}
	s.run(cmd, func() error {
		_, err := in(s.pod, func() (any, error) { return nil, cmd.Start() })
		return err
	})
	s.await(envoy.Ready, http.StatusOK)
	return s
}

func ownedByProxy(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append([]string{""}, names(entries)...) {
		if err := os.Chown(filepath.Join(dir, path), heddlev1alpha1.ProxyUID, heddlev1alpha1.ProxyUID); err != nil {
			t.Fatal(err)
		}
	}
}

func names(entries []os.DirEntry) []string {
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// certificate returns one of the mesh's for the identity.
func (s *sidecar) certificate(id mesh.Identity) tls.Certificate {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	chain, _, err := s.authority.Issue(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}),
		spiffeid.RequireFromSegments(spiffeid.RequireTrustDomainFromString("cluster.local"), "ns", id.Namespace, "sa", id.ServiceAccount), time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		s.t.Fatal(err)
	}
	return cert
}

// caller is somebody outside the pod who calls it by its address. id is nil
// for callers without a sidecar; these speak plaintext, or TLS of no mesh.
type caller struct {
	from *sidecar
	id   *mesh.Identity
	tls  bool
}

func (c caller) connect(port int, alpn string) (net.Conn, error) {
	conn, err := c.from.peer.dial(netip.AddrPortFrom(netip.MustParseAddr(podIP), uint16(port)).String())
	if err != nil || c.id == nil && !c.tls {
		return conn, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // as the kubelet does; who serves is not under test
	if c.id != nil {
		config.NextProtos, config.Certificates = []string{alpn}, []tls.Certificate{c.from.certificate(*c.id)}
	}
	secure := tls.Client(conn, config)
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// ask sends one request and returns the status, 0 where there is no answer.
func (c caller) ask(method string, port int, path string, header http.Header) int {
	c.from.t.Helper()
	return c.over(&http.Transport{DisableKeepAlives: true}, method, port, path, header)
}

// over takes care of connections itself; the transport is used once.
func (c caller) over(transport *http.Transport, method string, port int, path string, header http.Header) int {
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return c.connect(port, "heddle") }
	request, err := http.NewRequestWithContext(c.from.t.Context(), method, fmt.Sprintf("http://%s:%d%s", podIP, port, path), http.NoBody)
	if err != nil {
		c.from.t.Fatal(err)
	}
	request.Header = header.Clone()
	client := &http.Client{
		Transport: transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	if response.Header.Get("Grpc-Status") == "7" {
		return http.StatusForbidden // as it is said to who speaks gRPC
	}
	return response.StatusCode
}

// hears returns what the other end says to a connection of no protocol, before
// which the caller says something or nothing.
func (c caller) hears(port int, say string) string {
	conn, err := c.connect(port, "heddle-tcp")
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(say)); err != nil {
		return ""
	}
	said := make([]byte, 64)
	n, _ := conn.Read(said)
	return string(said[:n])
}
