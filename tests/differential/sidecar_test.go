package differential_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/catalog"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const (
	trustDomain = "cluster.local"
	deadline    = 30 * time.Second
)

// sidecar is a stock Envoy that the operator's delivery configures as that of
// pod shop/cart-1.
type sidecar struct {
	server    *xds.Server
	authority *ca.Authority
	last      *catalog.Catalog
	// snapshot is what the sidecar has, all of it in force.
	snapshot *mesh.Snapshot
	// published counts; the marker's answer tells odd from even.
	published int
	certs     map[mesh.Identity]tls.Certificate
	log       bytes.Buffer
}

// startSidecar returns once the sidecar has acknowledged the snapshot.
func startSidecar(t *testing.T, snapshot *mesh.Snapshot) *sidecar {
	t.Helper()
	binary := envoyBinary(t)
	dir, err := os.MkdirTemp("", "heddle") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	authority, err := ca.New(spiffeid.RequireTrustDomainFromString(trustDomain), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(dir, "key.pem")
	key, csr := newKey(t)
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sidecar{authority: authority, certs: map[mesh.Identity]tls.Certificate{}}
	s.server, err = xds.NewServer(xds.Options{
		Group: catalog.Group,
		Log:   logr.Discard(),
		Client: func(context.Context) (xds.Client, error) {
			return xds.Client{Namespace: self.Namespace, Pod: "cart-1", PodUID: "uid-1", ServiceAccount: self.ServiceAccount}, nil
		},
		Issuer: issuer(func(csrPEM []byte) (*xds.Resource, time.Time, error) {
			chain, end, err := authority.Issue(csrPEM, spiffeID(self), time.Now())
			if err != nil {
				return nil, end, err
			}
			secret, err := xds.NewResource(envoy.IdentitySecret, "", envoy.IdentityCertificate(chain, keyFile))
			return secret, end, err
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, snapshot)
	socket := filepath.Join(dir, "xds.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(xds.ServerOption())
	s.server.Register(g)
	t.Cleanup(g.Stop)
	go func() { _ = g.Serve(listener) }()

	config := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, bootstrap, csr, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-c", config, "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart",
		"--drain-time-s", "45", "--drain-strategy", "immediate") // as the injected sidecar has it
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("envoy:\n%s", s.log.String())
		}
	})
	s.await(t)
	return s
}

// become gives the sidecar another snapshot and returns once it is in force.
func (s *sidecar) become(t fataler, snapshot *mesh.Snapshot) {
	t.Helper()
	s.publish(t, snapshot)
	s.await(t)
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (s *sidecar) publish(t fataler, snapshot *mesh.Snapshot) {
	t.Helper()
	s.published++
	s.snapshot = mark(snapshot, s.published%2 == 0)
	next, change, err := catalog.Next(s.last, s.snapshot, s.authority.RootsPEM())
	if err != nil {
		t.Fatalf("render: %v", err)
	}
	s.last = next
	s.server.Publish(next, change)
}

// marker is a service that answers only in every second snapshot. Its virtual host goes out
// after all else, and Envoy's workers take changes in the order they came: when
// the marker answers as the newest snapshot has it, all of that is in force.
var marker = netip.MustParseAddrPort("10.96.255.1:80")

func mark(snapshot *mesh.Snapshot, even bool) *mesh.Snapshot {
	out := *snapshot
	key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "marker"}, Port: marker.Port()}
	port := &mesh.Port{Key: key, Number: key.Port, Protocol: mesh.ProtocolHTTP, Route: &mesh.Route{}}
	if even {
		port.Route.Shares = []mesh.Share{{Backend: mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "plain"}, Port: portEcho}, Weight: 1}}
	}
	out.Services = out.Services.With(key.Service, &mesh.Service{Key: key.Service, Addresses: []netip.Addr{marker.Addr()}, Ports: []*mesh.Port{port}})
	return &out
}

func (s *sidecar) await(t fataler) {
	t.Helper()
	want := explain.Unavailable
	if s.published%2 == 0 {
		want = explain.Admitted
	}
	ready := func() bool {
		proxies := s.server.Proxies()
		if len(proxies) != 1 || !proxies[0].Synced {
			return false
		}
		for _, r := range proxies[0].Rejected {
			t.Fatalf("the sidecar refused %s %s: %s", r.Type, r.Name, r.Message)
		}
		c := &client{dial: func() (net.Conn, error) { return dialPlain(marker) }}
		defer c.close()
		return c.send(explain.Request{Method: "GET", Target: "/", Authority: "marker"}).outcome == want
	}
	end := time.After(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-end:
			t.Fatalf("snapshot %d is not in force within %s: %+v\n%s", s.published, deadline, s.server.Proxies(), s.log.String())
		case <-tick.C:
		}
	}
}

// certificate returns that of an identity, made when first asked for.
func (s *sidecar) certificate(t fataler, id mesh.Identity) tls.Certificate {
	t.Helper()
	if cert, ok := s.certs[id]; ok {
		return cert
	}
	keyPEM, csr := newKey(t)
	chain, _, err := s.authority.Issue([]byte(csr), spiffeID(id), time.Now())
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	cert, err := tls.X509KeyPair(chain, keyPEM)
	if err != nil {
		t.Fatalf("pair: %v", err)
	}
	s.certs[id] = cert
	return cert
}

func spiffeID(id mesh.Identity) spiffeid.ID {
	return spiffeid.RequireFromSegments(spiffeid.RequireTrustDomainFromString(trustDomain), "ns", id.Namespace, "sa", id.ServiceAccount)
}

func newKey(t fataler) (keyPEM []byte, csrPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
}

type issuer func(csrPEM []byte) (*xds.Resource, time.Time, error)

func (f issuer) Identity(_ xds.Client, csr []byte) (*xds.Resource, time.Time, time.Time, error) {
	secret, end, err := f(csr)
	return secret, end, end, err
}

// bootstrap is a proxy that takes everything from the server.
const bootstrap = `{
 "node": {"id": "shop/cart-1", "cluster": "shop/cart", "metadata": {"heddle": {"csr": %q, "podUID": "uid-1"}}},
 "dynamic_resources": {
  "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
   "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
  "lds_config": {"ads": {}, "resource_api_version": "V3"}},
 "static_resources": {
  "clusters": [{"name": "xds", "type": "STATIC", "connect_timeout": "1s",
   "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}},
   "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": %q}}}}]}]}}]}
}`
