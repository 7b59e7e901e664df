package bootstrap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	typeListener = "type.googleapis.com/envoy.config.listener.v3.Listener"
	typeCluster  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
)

// fakeOperator speaks just enough delta xDS to show what the bootstrap does.
type fakeOperator struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	mu      sync.Mutex
	tokens  []string                             // as presented, one per stream
	nodes   []*discoveryv3.DeltaDiscoveryRequest // first of each stream
	ready   *anypb.Any                           // the ready cluster, nil while there is no identity
	hold    bool                                 // don't answer for listeners
	changed chan struct{}                        // closed when ready is set
	cut     chan struct{}                        // closed to end every stream
}

func (o *fakeOperator) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	md, _ := grpcmetadata.FromIncomingContext(s.Context())
	o.mu.Lock()
	o.tokens = append(o.tokens, strings.Join(md.Get("authorization"), ","))
	cut, changed := o.cut, o.changed
	o.mu.Unlock()
	requests := make(chan *discoveryv3.DeltaDiscoveryRequest)
	go func() {
		defer close(requests)
		for {
			r, err := s.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- r:
			case <-s.Context().Done():
				return
			}
		}
	}()
	first, asked := true, false
	for {
		var reply *discoveryv3.DeltaDiscoveryResponse
		select {
		case <-cut:
			return status.Error(codes.Unavailable, "cut by the test")
		case <-changed:
			changed = nil
			if asked {
				reply = o.clusters()
			}
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			if first {
				first = false
				o.mu.Lock()
				o.nodes = append(o.nodes, r)
				o.mu.Unlock()
			}
			o.mu.Lock()
			hold := o.hold
			o.mu.Unlock()
			switch {
			case r.GetResponseNonce() != "":
			case r.GetTypeUrl() == typeListener && !hold:
				reply = &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeListener, Nonce: "l"}
			case r.GetTypeUrl() == typeCluster && slices.Contains(r.GetResourceNamesSubscribe(), ClusterReady):
				asked = true
				reply = o.clusters()
			}
		}
		if reply == nil {
			continue
		}
		if err := s.Send(reply); err != nil {
			return err
		}
	}
}

func (o *fakeOperator) clusters() *discoveryv3.DeltaDiscoveryResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ready == nil {
		return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeCluster, Nonce: "none", RemovedResources: []string{ClusterReady}}
	}
	return &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeCluster, Nonce: "ready", Resources: []*discoveryv3.Resource{
		{Name: ClusterReady, Version: "1", Resource: o.ready},
	}}
}

func (o *fakeOperator) deliver(cluster *anypb.Any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ready = cluster
	close(o.changed)
}

// disconnect ends every stream; new ones are answered for listeners too.
func (o *fakeOperator) disconnect() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = false
	close(o.cut)
	o.cut = make(chan struct{})
}

func (o *fakeOperator) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tokens)
}

// serve starts the operator on l with a certificate for name and returns the
// PEM of its root.
func (o *fakeOperator) serve(t *testing.T, l net.Listener, name string) (root []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		DNSNames:              []string{name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, o)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
