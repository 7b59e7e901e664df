package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// deltaMethod is where delta ADS is served.
const deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// proxy is one simulated sidecar.
type proxy struct {
	number         int
	namespace, pod string
	uid, account   string
	token          string
	csr            string
	// names are asked for by type, besides what comes unasked.
	names map[string][]string
	// window is how many bytes it takes unread; 0 is 1 MiB.
	window int32
	// holds are the versions that it has, by type and name; nil if it does not
	// remember. It says so when it connects.
	holds map[string]map[string]string

	conn   *grpc.ClientConn
	stream grpc.ClientStream
	fleet  *fleet
}

// message is what the floor sends in place of a response.
type message struct {
	TypeURL string `json:"typeURL"`
	Size    int    `json:"size"`
}

// receipt is one response that reached a proxy.
type receipt struct {
	proxy int
	at    time.Time
	size  int
	typed string
}

// fleet is all proxies. It tells of what they receive.
type fleet struct {
	target  string
	roots   *x509.CertPool
	server  string
	proxies []*proxy

	bytes, responses atomic.Int64
	// resources and certificates count what proxies were sent that remember.
	resources, certificates atomic.Int64
	mu                      sync.Mutex
	receipts                []receipt
	last                    time.Time
	failed                  error
}

// certificateRequest makes a key and asks for a certificate, as heddle-init does.
func certificateRequest() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// connect opens all streams, at most so many at once.
func (f *fleet) connect(ctx context.Context) error {
	const atOnce = 64
	gate := make(chan struct{}, atOnce)
	errs := make(chan error, len(f.proxies))
	for _, p := range f.proxies {
		p.fleet = f
		gate <- struct{}{}
		go func() {
			defer func() { <-gate }()
			errs <- p.connect(ctx)
		}()
	}
	var all []error
	for range f.proxies {
		if err := <-errs; err != nil {
			all = append(all, err)
		}
	}
	if len(all) > 0 {
		return fmt.Errorf("%d of %d proxies can't connect: %w", len(all), len(f.proxies), all[0])
	}
	return nil
}

func (f *fleet) close() {
	for _, p := range f.proxies {
		if p.conn != nil {
			_ = p.conn.Close()
		}
	}
}

// connect opens the stream and takes what comes.
func (p *proxy) connect(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	go p.receive()
	return nil
}

// open connects and asks; nothing is read yet.
func (p *proxy) open(ctx context.Context) error {
	f, window := p.fleet, cmp.Or(p.window, 1<<20)
	conn, err := grpc.NewClient(f.target,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: f.roots, ServerName: f.server})),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire{}), grpc.MaxCallRecvMsgSize(256<<20)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	if err != nil {
		return err
	}
	p.conn = conn
	if p.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+p.token)
	}
	if p.stream, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, deltaMethod); err != nil {
		return err
	}
	node, err := structpb.NewStruct(map[string]any{"heddle": map[string]any{"podUID": p.uid, "csr": p.csr}})
	if err != nil {
		return err
	}
	first := &corev3.Node{Id: p.namespace + "/" + p.pod, Cluster: p.namespace + "/" + p.account, Metadata: node}
	for _, typeURL := range []string{xds.TypeListener, xds.TypeSecret, xds.TypeRoutes, xds.TypeVirtualHost, xds.TypeCluster, xds.TypeEndpoints} {
		if typeURL != xds.TypeListener && typeURL != xds.TypeVirtualHost && len(p.names[typeURL]) == 0 {
			continue
		}
		request := &discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: typeURL, Node: first, ResourceNamesSubscribe: p.names[typeURL], InitialResourceVersions: p.holds[typeURL],
		}
		if err := p.stream.SendMsg(request); err != nil {
			return err
		}
		first = nil
	}
	return nil
}

// remember notes what the response says that the proxy has.
func (p *proxy) remember(raw received) error {
	var response discoveryv3.DeltaDiscoveryResponse
	if err := proto.Unmarshal(raw, &response); err != nil {
		return err
	}
	typeURL := response.GetTypeUrl()
	if p.holds[typeURL] == nil {
		p.holds[typeURL] = map[string]string{}
	}
	for _, r := range response.GetResources() {
		p.holds[typeURL][r.GetName()] = r.GetVersion()
		if typeURL == xds.TypeSecret && r.GetName() == envoy.IdentitySecret {
			p.fleet.certificates.Add(1)
		}
	}
	p.fleet.resources.Add(int64(len(response.GetResources()) + len(response.GetRemovedResources())))
	for _, name := range response.GetRemovedResources() {
		delete(p.holds[typeURL], name)
	}
	return nil
}

// receive acknowledges all there is until the connection closes.
func (p *proxy) receive() {
	var raw received
	for {
		if err := p.stream.RecvMsg(&raw); err != nil {
			p.fleet.fail(p, err)
			return
		}
		now := time.Now()
		typeURL, nonce, _, err := raw.heads()
		if err != nil {
			p.fleet.fail(p, err)
			return
		}
		if p.holds != nil {
			if err := p.remember(raw); err != nil {
				p.fleet.fail(p, err)
				return
			}
		}
		p.fleet.took(receipt{proxy: p.number, at: now, size: len(raw), typed: typeURL})
		if err := p.stream.SendMsg(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce}); err != nil {
			p.fleet.fail(p, err)
			return
		}
	}
}

func (f *fleet) took(r receipt) {
	f.bytes.Add(int64(r.size))
	f.responses.Add(1)
	f.mu.Lock()
	f.receipts = append(f.receipts, r)
	f.last = r.at
	f.mu.Unlock()
}

func (f *fleet) fail(p *proxy, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil && p.conn.GetState().String() != "SHUTDOWN" {
		f.failed = fmt.Errorf("proxy %s/%s: %w", p.namespace, p.pod, err)
	}
}

// mark forgets what has been received.
func (f *fleet) mark() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receipts = nil
}

// received are the receipts since the mark.
func (f *fleet) received() ([]receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.receipts), f.failed
}

// await returns the receipts when so many proxies have one, and then nobody has had
// another for a while. want 0 only waits for that.
func (f *fleet) await(ctx context.Context, want int, quiet time.Duration) ([]receipt, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Minute)
	began := time.Now()
	for {
		all, err := f.received()
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		last := f.last
		f.mu.Unlock()
		if last.Before(began) {
			last = began
		}
		if len(proxiesOf(all)) >= want && time.Since(last) > quiet {
			return all, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end:
			return nil, errors.Join(fmt.Errorf("%d of %d proxies have heard", len(proxiesOf(all)), want), err)
		}
	}
}

func proxiesOf(all []receipt) map[int]time.Time {
	out := map[int]time.Time{}
	for _, r := range all {
		if out[r.proxy].Before(r.at) {
			out[r.proxy] = r.at
		}
	}
	return out
}

// awaitTyped returns when each proxy had its first response of the type since the
// mark, once so many have.
func (f *fleet) awaitTyped(ctx context.Context, typeURL string, want int) (map[int]time.Time, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for {
		all, err := f.received()
		if err != nil {
			return nil, err
		}
		heard := map[int]time.Time{}
		for _, r := range all {
			if _, before := heard[r.proxy]; r.typed == typeURL && !before {
				heard[r.proxy] = r.at
			}
		}
		if len(heard) >= want {
			return heard, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end:
			return nil, fmt.Errorf("%d of %d proxies have heard within a minute", len(heard), want)
		}
	}
}
