package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const (
	namespace    = "bench"
	podsEach     = 3
	writesAtOnce = 32
)

// cluster is a real API server with the objects of a mesh.
type cluster struct {
	environment *envtest.Environment
	client      client.Client
	dir         string
	kubeconfig  string
	size        size
	say         func(format string, args ...any)
	// profileLocks has the operator note who waits for locks.
	profileLocks bool
	// prometheusURL is what canaries are judged by; empty for none.
	prometheusURL string
}

func startCluster(assets string, s size, say func(string, ...any)) (*cluster, error) {
	if assets == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		assets = filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		return nil, fmt.Errorf("no kube-apiserver; `go run ./tests/lab envtest-assets` builds one: %w", err)
	}
	log.SetLogger(logr.Discard()) // what the API server's starter has to say is in its errors
	dir, err := os.MkdirTemp("", "heddle-bench")
	if err != nil {
		return nil, err
	}
	c := &cluster{environment: &envtest.Environment{
		BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join("crds", "bases")}, ErrorIfCRDPathMissing: true,
	}, dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), size: s, say: say}
	// Cluster IPs of that many Services need more than the /24 of envtest.
	c.environment.ControlPlane.GetAPIServer().Configure().
		Set("service-cluster-ip-range", "10.96.0.0/12").Set("max-requests-inflight", "3000").Set("max-mutating-requests-inflight", "1000")
	// The disk is not what is measured; a busy one has the API server give up.
	c.environment.ControlPlane.Etcd = &envtest.Etcd{}
	c.environment.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "true")
	config, err := c.environment.Start()
	if err != nil {
		return nil, fmt.Errorf("start kube-apiserver: %w", err)
	}
	config.QPS, config.Burst = -1, 0
	if err := os.WriteFile(c.kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	return c, c.connect(config)
}

func (c *cluster) connect(config *rest.Config) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, heddlev1alpha1.AddToScheme, splitv1alpha4.AddToScheme, accessv1alpha3.AddToScheme, specsv1alpha4.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	var err error
	c.client, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

func (c *cluster) stop() error {
	return errors.Join(c.environment.Stop(), os.RemoveAll(c.dir))
}

// namespaces makes that of the mesh and that of the operator.
func (c *cluster) namespaces(ctx context.Context) error {
	for _, name := range []string{namespace, heddlev1alpha1.SystemNamespace} {
		if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	return nil
}

// program is the operator's file: the one given, or this tree's.
func (c *cluster) program(ctx context.Context, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	c.say("building the operator")
	file := filepath.Join(c.dir, "heddle-operator")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", file, "./cmd/heddle-operator").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return file, nil
}

// seed makes all that there is before anything is measured.
func (c *cluster) seed(ctx context.Context) error {
	if err := c.namespaces(ctx); err != nil {
		return err
	}
	n := c.size.Services
	for _, batch := range []struct {
		what   string
		n      int
		create func(ctx context.Context, i int) error
	}{
		{"service accounts", n, func(ctx context.Context, i int) error {
			return c.client.Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta(serviceName(i))})
		}},
		{"pods", n * podsEach, c.createPod},
		{"pods behind no Service", max(0, c.size.Proxies-n*podsEach), func(ctx context.Context, i int) error {
			number, service := c.podOf(n*podsEach + i)
			return c.createPodOf(ctx, number, service)
		}},
		{"services", n, func(ctx context.Context, i int) error { return c.client.Create(ctx, service(i)) }},
		{"endpoint slices", n, func(ctx context.Context, i int) error { return c.client.Create(ctx, slice(i)) }},
	} {
		if err := c.each(ctx, batch.what, batch.n, batch.create); err != nil {
			return err
		}
	}
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: meta("split")}
	split.Spec.Service = serviceName(0)
	split.Spec.Backends = []splitv1alpha4.TrafficSplitBackend{{Service: serviceName(0), Weight: 90}, {Service: serviceName(1), Weight: 10}}
	group := &specsv1alpha4.HTTPRouteGroup{ObjectMeta: meta("all"), Spec: specsv1alpha4.HTTPRouteGroupSpec{Matches: []specsv1alpha4.HTTPMatch{{Name: "all", PathRegex: ".*", Methods: []string{"*"}}}}}
	target := &accessv1alpha3.TrafficTarget{ObjectMeta: meta("target")}
	target.Spec.Destination = accessv1alpha3.IdentityBindingSubject{Kind: accessv1alpha3.KindServiceAccount, Name: serviceName(0), Namespace: namespace}
	target.Spec.Sources = []accessv1alpha3.IdentityBindingSubject{{Kind: accessv1alpha3.KindServiceAccount, Name: serviceName(1), Namespace: namespace}}
	target.Spec.Rules = []accessv1alpha3.TrafficTargetRule{{Kind: accessv1alpha3.KindHTTPRouteGroup, Name: "all"}}
	for _, object := range []client.Object{split, group, target} {
		if err := c.client.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// each makes n things, many at a time.
func (c *cluster) each(ctx context.Context, what string, n int, create func(context.Context, int) error) error {
	if n == 0 {
		return nil
	}
	c.say("%d %s", n, what)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	done := chanOf(writesAtOnce, func() {
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			if err := create(ctx, i); err != nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		}
	})
	<-done
	return context.Cause(ctx)
}

// chanOf runs the function n times at once; the channel is closed after the last.
func chanOf(n int, work func()) <-chan struct{} {
	done := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(n))
	for range n {
		go func() {
			work()
			if left.Add(-1) == 0 {
				close(done)
			}
		}()
	}
	return done
}

func (c *cluster) createPod(ctx context.Context, i int) error {
	return c.createPodOf(ctx, i, i/podsEach)
}

// podOf returns the pod whose sidecar is that proxy, and its Service: one pod of each
// before a second one of any. Once there are no more, pods follow that belong to its
// workload but take no calls.
func (c *cluster) podOf(proxy int) (number, service int) {
	n := c.size.Services
	if proxy < n*podsEach {
		return proxy%n*podsEach + proxy/n, proxy % n
	}
	return 20*n*podsEach + proxy, proxy % n
}

// proxies returns simulated sidecars of the first pods, with their tokens. Each has
// called so many Services, the first ones among them; 0 is all.
func (c *cluster) proxies(ctx context.Context, calls int) ([]*proxy, error) {
	out := make([]*proxy, c.size.Proxies)
	err := c.each(ctx, "tokens and certificate requests", len(out), func(ctx context.Context, i int) error {
		number, service := c.podOf(i)
		pod := &corev1.Pod{}
		if err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: podName(number)}, pod); err != nil {
			return err
		}
		hours := int64(24 * 3600)
		token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences: []string{heddlev1alpha1.TokenAudience}, ExpirationSeconds: &hours,
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		}}
		account := &corev1.ServiceAccount{ObjectMeta: meta(pod.Spec.ServiceAccountName)}
		if err := c.client.SubResource("token").Create(ctx, account, token); err != nil {
			return err
		}
		csr, err := certificateRequest()
		if err != nil {
			return err
		}
		out[i] = &proxy{
			number: i, namespace: namespace, pod: pod.Name, uid: string(pod.UID), account: account.Name, token: token.Status.Token, csr: csr,
			names: c.names(i, calls, account.Name, service),
		}
		return nil
	})
	return out, err
}

// names are what a stock Envoy asks for by name: its secrets, the routes of its
// listeners, and the clusters and endpoints of what it has called.
func (c *cluster) names(i, calls int, account string, own int) map[string][]string {
	workload := workloadKeys[own]
	out := map[string][]string{
		xds.TypeSecret: {envoy.IdentitySecret, envoy.RootsSecret},
		xds.TypeRoutes: {envoy.Outbound, envoy.InboundRoutes(mesh.Identity{Namespace: namespace, ServiceAccount: account}), envoy.PlaintextRoutes(workload)},
	}
	if calls == 0 || calls > c.size.Services {
		calls = c.size.Services
	}
	for j := range calls {
		called := j
		if calls < c.size.Services {
			called = (i + j) % c.size.Services
		}
		key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: namespace, Name: serviceName(called)}, Port: 80}
		out[xds.TypeCluster] = append(out[xds.TypeCluster], envoy.HTTPCluster(key))
		out[xds.TypeEndpoints] = append(out[xds.TypeEndpoints], envoy.Assignment(key))
	}
	return out
}

// operator starts the program that is measured.
func (c *cluster) operator(ctx context.Context, binary string) (*process, string, error) {
	ports, err := freePorts(ctx, 5)
	if err != nil {
		return nil, "", err
	}
	return c.operatorAt(ctx, binary, ports)
}

// operatorAt starts it on such ports.
func (c *cluster) operatorAt(ctx context.Context, binary string, ports []string) (*process, string, error) {
	token := filepath.Join(c.dir, "token")
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, binary, "--init-image=x", "--proxy-image=x",
		"--xds-address=127.0.0.1:"+ports[0], "--webhook-port="+ports[1], "--health-address=127.0.0.1:"+ports[2],
		"--metrics-address=127.0.0.1:"+ports[4], "--debug-address=127.0.0.1:"+ports[3], "--prometheus-url="+cmp.Or(c.prometheusURL, "http://127.0.0.1:1"))
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "POD_NAMESPACE="+heddlev1alpha1.SystemNamespace, "POD_NAME=heddle-operator-0", "HEDDLE_PROFILE_LOCKS="+strconv.FormatBool(c.profileLocks))
	p, err := start(cmd, filepath.Join(c.dir, "operator.log"))
	if err != nil {
		return nil, "", err
	}
	p.debug, p.metrics = "127.0.0.1:"+ports[3], "127.0.0.1:"+ports[4]
	if err := ready(ctx, "http://127.0.0.1:"+ports[2]+"/readyz"); err != nil {
		return nil, "", fmt.Errorf("the operator: %w\n%s", err, p.tail())
	}
	return p, "127.0.0.1:" + ports[0], nil
}

func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := (&http.Client{Timeout: time.Second}).Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready within 2 minutes: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// roots are what sidecars trust the operator by.
func (c *cluster) roots(ctx context.Context) (*x509.CertPool, error) {
	secret := &corev1.Secret{}
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: heddlev1alpha1.SystemNamespace, Name: "heddle-ca-key"}, secret); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey]) {
		return nil, errors.New("the operator's authority is no certificate")
	}
	return pool, nil
}

func freePorts(ctx context.Context, n int) ([]string, error) {
	held := make([]net.Listener, n) // all are held until the last is known
	defer func() {
		for _, listener := range held {
			if listener != nil {
				_ = listener.Close()
			}
		}
	}()
	out := make([]string, n)
	for i := range held {
		var err error
		if held[i], err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		if _, out[i], err = net.SplitHostPort(held[i].Addr().String()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// asking is how many proxies ask for what belongs to the Service.
func (f *fleet) asking(typeURL string, service int) int {
	name := envoy.Assignment(mesh.PortKey{Service: mesh.ServiceKey{Namespace: namespace, Name: serviceName(service)}, Port: 80})
	n := 0
	for _, p := range f.proxies {
		if slices.Contains(p.names[typeURL], name) {
			n++
		}
	}
	return n
}

// of is how many proxies are of the service account.
func (f *fleet) of(account string) int {
	n := 0
	for _, p := range f.proxies {
		if p.account == account {
			n++
		}
	}
	return n
}
