package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/authn"
	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/catalog"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/programmed"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// delivery is the xDS server on its port. The port opens when there is
// something whole to serve.
type delivery struct {
	address   string
	tls       *tls.Config
	authn     *authn.Authenticator
	server    *xds.Server
	published chan struct{}
	listening atomic.Bool
	// snapshot is the last one published.
	snapshot atomic.Pointer[mesh.Snapshot]
	// namespace and podName are this replica's.
	namespace, podName string
}

func newDelivery(o options, authority *ca.Authority, trustDomain spiffeid.TrustDomain, config *tls.Config, authenticator *authn.Authenticator, answered func()) (*delivery, error) {
	server, err := xds.NewServer(xds.Options{
		Issuer:     issuer{authority: authority, trustDomain: trustDomain, now: time.Now},
		Registerer: metrics.Registry,
		Log:        ctrl.Log.WithName("xds"),
		OnAnswer:   answered,
		Group:      catalog.Group,
		Client: func(ctx context.Context) (xds.Client, error) {
			identity, ok := authn.FromContext(ctx)
			if !ok {
				return xds.Client{}, errors.New("the stream has not been authenticated")
			}
			return xds.Client{
				Namespace: identity.Namespace, Pod: identity.PodName,
				PodUID: identity.PodUID, ServiceAccount: identity.ServiceAccount,
			}, nil
		},
		CheckNode: func(c xds.Client, node *corev3.Node) error {
			fields := node.GetMetadata().GetFields()["heddle"].GetStructValue().GetFields()
			return authn.CheckNode(authn.Identity{
				Namespace: c.Namespace, PodName: c.Pod, PodUID: c.PodUID, ServiceAccount: c.ServiceAccount,
			}, node.GetId(), node.GetCluster(), fields["podUID"].GetStringValue())
		},
	})
	if err != nil {
		return nil, err
	}
	return &delivery{
		address: o.xdsAddress, tls: config, authn: authenticator, server: server, published: make(chan struct{}),
		namespace: o.namespace, podName: o.podName,
	}, nil
}

// NeedLeaderElection is false: every replica serves proxies.
func (d *delivery) NeedLeaderElection() bool { return false }

// Start serves from the first publication until the context ends.
func (d *delivery) Start(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.published:
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.address)
	if err != nil {
		return fmt.Errorf("xDS server: %w", err)
	}
	server := grpc.NewServer(
		xds.ServerOption(),
		grpc.Creds(credentials.NewTLS(d.tls)),
		grpc.StreamInterceptor(d.authn.Stream),
		grpc.UnaryInterceptor(d.authn.Unary),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	d.server.Register(server)
	programmed.RegisterDeliveries(server, programmed.Answers{
		Operator: d.podName, Delivered: d.server.Delivered, Snapshot: d.snapshot.Load, Allow: d.isOperator,
	})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	d.listening.Store(true)
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("xDS server: %w", err)
	}
	return nil
}

// isOperator refuses all but other replicas: how far things have come is not the
// sidecars' business.
func (d *delivery) isOperator(ctx context.Context) error {
	identity, ok := authn.FromContext(ctx)
	if !ok || identity.Namespace != d.namespace || identity.ServiceAccount != heddlev1alpha1.OperatorName {
		return errors.New("only the operator's own service account may ask")
	}
	return nil
}

func (d *delivery) ready() error {
	if !d.listening.Load() {
		return errors.New("the xDS server has nothing to serve yet")
	}
	return nil
}

// debug serves the list of proxies, and profiles, on the loopback interface.
func (d *delivery) debug(o options) manager.Runnable {
	if o.profileLocks {
		runtime.SetMutexProfileFraction(10)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /debug/proxies", d.server.Handler(o.podName))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return &manager.Server{
		Name:   "debug",
		Server: &http.Server{Addr: o.debugAddress, Handler: mux, ReadHeaderTimeout: 5 * time.Second},
	}
}

// issuer makes the secret with a proxy's own certificate.
type issuer struct {
	authority   *ca.Authority
	trustDomain spiffeid.TrustDomain
	now         func() time.Time
}

// Identity implements xds.Issuer. Certificates are renewed at half their life
// give or take a tenth, so that pods started together don't come together.
func (i issuer) Identity(c xds.Client, csrPEM []byte) (*xds.Resource, time.Time, time.Time, error) {
	id, err := spiffeid.FromSegments(i.trustDomain, "ns", c.Namespace, "sa", c.ServiceAccount)
	if err != nil {
		return nil, time.Time{}, time.Time{}, fmt.Errorf("SPIFFE id of %s/%s: %w", c.Namespace, c.ServiceAccount, err)
	}
	now := i.now()
	chain, expires, err := i.authority.Issue(csrPEM, id, now)
	if err != nil {
		return nil, time.Time{}, time.Time{}, err
	}
	secret, err := xds.NewResource(envoy.IdentitySecret, "", envoy.IdentityCertificate(chain, heddlev1alpha1.KeyFile))
	if err != nil {
		return nil, time.Time{}, time.Time{}, err
	}
	share := 0.45 + 0.1*rand.Float64() //nolint:gosec // jitter, not a secret
	return secret, now.Add(time.Duration(share * float64(expires.Sub(now)))), expires, nil
}

// feed turns snapshots into catalogs and hands them on. One goroutine calls
// it.
type feed struct {
	delivery *delivery
	reporter *reporter
	rootsPEM []byte
	current  *catalog.Catalog
}

func newFeed(d *delivery, r *reporter, rootsPEM []byte) *feed {
	return &feed{delivery: d, reporter: r, rootsPEM: rootsPEM}
}

func (f *feed) publish(ctx context.Context, snapshot *mesh.Snapshot, reports mesh.Reports) {
	next, change, err := catalog.Next(f.current, snapshot, f.rootsPEM)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "a resource was left out")
	}
	first := f.current == nil
	f.current = next
	f.delivery.server.Publish(next, change)
	f.delivery.snapshot.Store(snapshot)
	if first {
		close(f.delivery.published)
	}
	f.reporter.publish(programmed.State{Reports: reports, Snapshot: snapshot, Resources: next})
}

// covered returns the Services that prefixes cover, of those that have been seen.
func (f *feed) covered(prefixes []netip.Prefix) mesh.Covered {
	if snapshot := f.delivery.snapshot.Load(); snapshot != nil {
		return snapshot.Covered(prefixes)
	}
	return nil
}

// replicas returns where the ready replicas of the operator are, but for this one.
func (f *feed) replicas() []string {
	snapshot := f.delivery.snapshot.Load()
	if snapshot == nil {
		return nil
	}
	var own []netip.Addr
	if pod := snapshot.Pods.Get(mesh.PodKey{Namespace: f.delivery.namespace, Name: f.delivery.podName}); pod != nil {
		own = pod.IPs
	}
	set := snapshot.Endpoints.Get(mesh.PortKey{
		Service: mesh.ServiceKey{Namespace: f.delivery.namespace, Name: heddlev1alpha1.OperatorName}, Port: heddlev1alpha1.PortXDS,
	})
	if set == nil {
		return nil
	}
	var out []string
	for _, e := range set.Endpoints {
		if e.State == mesh.EndpointReady && !slices.Contains(own, e.Address.Addr()) {
			out = append(out, e.Address.String())
		}
	}
	return out
}
