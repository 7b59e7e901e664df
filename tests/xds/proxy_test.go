// Package xds_test runs a stock Envoy against the operator's own delivery,
// without Kubernetes: what the catalog renders is accepted, and the readiness
// check passes once the proxy has its certificate.
package xds_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"

	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/catalog"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const deadline = 30 * time.Second

func TestEnvoyAcceptsEverythingTheCatalogRenders(t *testing.T) {
	p := startProxy(t, shop(mesh.AllowUnlessTargeted, false))

	p.await(envoy.Ready, http.StatusOK)
	for _, cluster := range []string{
		"http/shop/cart/80", "http/shop/cart-v2/80", "tcp|10.96.0.9:5432", "dst|10.244.0.5:8080", "dst|192.0.2.1:80",
	} {
		// The proxy is told of the cluster and finds nobody behind it; had it
		// refused the cluster it would say so.
		p.request(cluster)
	}
	p.noneRejected()

	for name, snapshot := range map[string]*mesh.Snapshot{
		"closed": shop(mesh.Deny, false),
		"strict": shop(mesh.AllowUnlessTargeted, true),
		"open":   shop(mesh.Allow, false),
	} {
		p.publish(snapshot)
		p.await(envoy.Ready, http.StatusOK)
		p.synced(name)
		p.noneRejected()
	}
}

func TestProxyOfAnUnknownPodIsNotReady(t *testing.T) {
	snapshot := shop(mesh.AllowUnlessTargeted, false)
	known := snapshot.Pods
	snapshot.Pods = mesh.Table[mesh.PodKey, *mesh.Pod]{}
	p := startProxy(t, snapshot)
	p.await(envoy.Ready, http.StatusServiceUnavailable)

	later := shop(mesh.AllowUnlessTargeted, false)
	later.Pods = known
	p.publish(later)
	p.await(envoy.Ready, http.StatusOK)
	p.noneRejected()
}

// shop is a mesh with a split over two services, a TCP service and a policy.
func shop(access mesh.Access, strict bool) *mesh.Snapshot {
	id := mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	key := mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1"}
	pod := &mesh.Pod{
		Key: mesh.PodKey{Namespace: "shop", Name: "cart-1"}, UID: "uid-1", Identity: id, Meshed: true, Workload: key,
		IPs: []netip.Addr{netip.MustParseAddr("10.244.0.5")},
	}
	port := func(service string, number uint16, protocol mesh.Protocol) *mesh.Port {
		return &mesh.Port{
			Key:    mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: service}, Port: number},
			Number: number, Protocol: protocol,
		}
	}
	cart, v2 := port("cart", 80, mesh.ProtocolHTTP), port("cart-v2", 80, mesh.ProtocolHTTP)
	cart.Route = &mesh.Route{Shares: []mesh.Share{{Backend: cart.Key, Weight: 90}, {Backend: v2.Key, Weight: 10}}}
	service := func(p *mesh.Port, ip string) *mesh.Service {
		return &mesh.Service{Key: p.Key.Service, Addresses: []netip.Addr{netip.MustParseAddr(ip)}, Ports: []*mesh.Port{p}}
	}
	snapshot := &mesh.Snapshot{
		Settings: mesh.Settings{TrustDomain: "cluster.local", Access: access, Strict: strict},
		Endpoints: mesh.TableOf(map[mesh.PortKey]*mesh.EndpointSet{cart.Key: {
			Key:        cart.Key,
			Endpoints:  []mesh.Endpoint{{Address: netip.MustParseAddrPort("10.244.0.5:8080"), Meshed: true, Identity: id}},
			Identities: []mesh.Identity{id},
		}}),
		Pods:     mesh.TableOf(map[mesh.PodKey]*mesh.Pod{pod.Key: pod}),
		PodsByIP: mesh.TableOf(map[netip.Addr]*mesh.Pod{pod.IPs[0]: pod}),
		Workloads: mesh.TableOf(map[mesh.WorkloadKey]*mesh.Workload{key: {
			Key: key, Identity: id, Strict: strict,
			Probes: []mesh.Probe{{Port: 8080, Path: "/healthz", Method: "GET"}},
		}}),
		Policies: mesh.TableOf(map[mesh.Identity]*mesh.Policy{id: {
			Destination: id, Closed: access == mesh.Deny,
			Grants: []mesh.Grant{{
				Sources: []mesh.Identity{{Namespace: "shop", ServiceAccount: "web"}}, Ports: []uint16{8080},
				HTTP: []mesh.HTTPMatch{{
					PathRegex: "/api/.*", Methods: []string{"GET", "POST"},
					Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "yes"}},
				}},
			}, {Sources: []mesh.Identity{{Namespace: "ops", ServiceAccount: "admin"}}}},
		}}),
	}
	for ip, p := range map[string]*mesh.Port{"10.96.0.7": cart, "10.96.0.8": v2, "10.96.0.9": port("db", 5432, mesh.ProtocolTCP)} {
		snapshot.Services = snapshot.Services.With(p.Key.Service, service(p, ip))
	}
	return snapshot
}

type proxy struct {
	t         *testing.T
	server    *xds.Server
	authority *ca.Authority
	last      *catalog.Catalog
	client    *http.Client
	log       *bytes.Buffer
	pid       int
}

// startProxy runs it in a network of its own: the mesh's ports are taken by
// nobody there.
func startProxy(t *testing.T, snapshot *mesh.Snapshot) *proxy {
	t.Helper()
	binary := envoyBinary(t)
	p, config := newProxy(t, snapshot)
	cmd := exec.CommandContext(t.Context(), "unshare", "-n", "sh", "-c",
		`ip link set lo up && exec "$0" -c "$1" --log-level warning --concurrency 1 --disable-hot-restart`, binary, config)
	p.run(cmd, cmd.Start)
	return p
}

// newProxy returns a proxy that does not run yet and its bootstrap.
func newProxy(t *testing.T, snapshot *mesh.Snapshot) (p *proxy, config string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "heddle") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	authority, err := ca.New(spiffeid.RequireTrustDomainFromString("cluster.local"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	csr := writeKey(t, filepath.Join(dir, "key.pem"))
	server, err := xds.NewServer(xds.Options{
		Group: catalog.Group,
		Log:   testr.New(t),
		Client: func(context.Context) (xds.Client, error) {
			return xds.Client{Namespace: "shop", Pod: "cart-1", PodUID: "uid-1", ServiceAccount: "cart"}, nil
		},
		Issuer: issuerFunc(func(c xds.Client, csrPEM []byte) (*xds.Resource, time.Time, time.Time, error) {
			id, err := spiffeid.FromSegments(spiffeid.RequireTrustDomainFromString("cluster.local"), "ns", c.Namespace, "sa", c.ServiceAccount)
			if err != nil {
				return nil, time.Time{}, time.Time{}, err
			}
			chain, end, err := authority.Issue(csrPEM, id, time.Now())
			if err != nil {
				return nil, time.Time{}, time.Time{}, err
			}
			secret, err := xds.NewResource(envoy.IdentitySecret, "", envoy.IdentityCertificate(chain, filepath.Join(dir, "key.pem")))
			return secret, end, end, err
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{t: t, server: server, authority: authority, log: &bytes.Buffer{}}
	p.publish(snapshot)
	serve(t, server, filepath.Join(dir, "xds.sock"))

	config = filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(config, fmt.Appendf(nil, bootstrap, csr, filepath.Join(dir, "xds.sock"), filepath.Join(dir, "in.sock")), 0o600); err != nil {
		t.Fatal(err)
	}
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "in.sock"))
		},
	}}
	return p, config
}

// run has start, which must be cmd's own, begin it.
func (p *proxy) run(cmd *exec.Cmd, start func() error) {
	p.t.Helper()
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := start(); err != nil {
		p.t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("envoy:\n%s", p.log)
		}
	})
}

func (p *proxy) publish(snapshot *mesh.Snapshot) {
	p.t.Helper()
	next, change, err := catalog.Next(p.last, snapshot, p.authority.RootsPEM())
	if err != nil {
		p.t.Fatal(err)
	}
	p.last = next
	p.server.Publish(next, change)
}

// request sends one request through the proxy to the named cluster and
// returns its status; 0 if the proxy does not answer.
func (p *proxy) request(cluster string) int {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://proxy/", http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("x-cluster", cluster)
	response, err := p.client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func (p *proxy) await(cluster string, want int) {
	p.t.Helper()
	p.eventually(fmt.Sprintf("%s answers %d", cluster, want), func() bool { return p.request(cluster) == want })
}

func (p *proxy) synced(name string) {
	p.t.Helper()
	p.eventually(name+" is acknowledged", func() bool {
		proxies := p.server.Proxies()
		return len(proxies) == 1 && proxies[0].Synced
	})
}

func (p *proxy) eventually(what string, holds func() bool) {
	p.t.Helper()
	end := time.After(deadline)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			p.t.Fatalf("not within %s: %s; proxies: %+v", deadline, what, p.server.Proxies())
		case <-tick.C:
		}
	}
}

func (p *proxy) noneRejected() {
	p.t.Helper()
	for _, status := range p.server.Proxies() {
		for _, r := range status.Rejected {
			p.t.Errorf("%s %s refused: %s", r.Type, r.Name, r.Message)
		}
	}
}

type issuerFunc func(xds.Client, []byte) (*xds.Resource, time.Time, time.Time, error)

func (f issuerFunc) Identity(c xds.Client, csr []byte) (*xds.Resource, time.Time, time.Time, error) {
	return f(c, csr)
}

func serve(t *testing.T, server *xds.Server, socket string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(xds.ServerOption())
	server.Register(g)
	t.Cleanup(g.Stop)
	go func() { _ = g.Serve(listener) }()
}

func writeKey(t *testing.T, file string) (csrPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
}

// envoyBinary finds a stock Envoy, for tests that give it a network of its own.
func envoyBinary(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own")
	}
	return envoytest.Binary(t)
}

// bootstrap is a proxy that takes its listeners from the server and sends
// requests on a socket to the cluster that their header names.
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
   "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": %q}}}}]}]}}],
  "listeners": [{"name": "in", "address": {"pipe": {"path": %q}}, "filter_chains": [{"filters": [{
   "name": "envoy.filters.network.http_connection_manager", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster", "timeout": "5s"}}]}]},
    "http_filters": [
     {"name": "envoy.filters.http.on_demand", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand",
      "odcds": {"source": {"ads": {}, "resource_api_version": "V3"}, "timeout": "5s"}}},
     {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]}
}`
