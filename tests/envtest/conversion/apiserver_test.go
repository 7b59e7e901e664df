// Package conversion_test has a real kube-apiserver convert through the
// operator's endpoint, which it finds and trusts by the CRDs as kustomize makes
// them and by what the operator's rights suffice to write into them.
//
//	tests, SDK clients -> kube-apiserver -> webhook.Conversion
//	                           ^
//	           ca.ConversionPublisher, as the operator's service account
//
// It is apart from tests/envtest because it takes the operator away.
package conversion_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/crds/smi/convert"
	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/webhook"
)

const root = "../../.."

// cluster is an API server with the CRDs as kustomize makes them and with what
// of the operator serves conversions, under the operator's own rights.
type cluster struct {
	config     *rest.Config
	client     client.Client
	dynamic    dynamic.Interface
	kubectl    string
	kubeconfig string
	authority  *ca.Authority
	// conversion is the endpoint; closing it is the operator going away.
	conversion *httptest.Server
}

// shared is the cluster of all tests, started by the first that asks for it.
var shared = sync.OnceValues(newCluster)

// errAbsent says that the lab has not built an API server.
var errAbsent = errors.New("no kube-apiserver; `go run ./tests/lab envtest-assets` builds one")

// stop ends what newCluster started.
var stop = func() error { return nil }

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// running returns the cluster, or skips the test where there is no API server.
func running(t *testing.T) *cluster {
	t.Helper()
	c, err := shared()
	if errors.Is(err, errAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newCluster() (*cluster, error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		assets = filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	}
	if _, err := os.Stat(filepath.Join(assets, "kube-apiserver")); err != nil {
		return nil, fmt.Errorf("%w: %w", errAbsent, err)
	}
	dir, err := os.MkdirTemp("", "heddle-conversion")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	c := &cluster{kubeconfig: filepath.Join(dir, "kubeconfig")}
	stop = func() error {
		cancel()
		if c.conversion != nil {
			c.conversion.Close()
		}
		return errors.Join(environment.Stop(), os.RemoveAll(dir))
	}
	if c.config, err = environment.Start(); err != nil {
		return nil, err
	}
	c.kubectl = environment.ControlPlane.KubectlPath
	if err := os.WriteFile(c.kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	return c, c.start(ctx)
}

func (c *cluster) start(ctx context.Context) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	var err error
	if c.client, err = client.New(c.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(c.config); err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return err
	}
	for _, name := range []string{heddlev1alpha1.SystemNamespace, "shop"} {
		if err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	trustDomain := spiffeid.RequireTrustDomainFromString("cluster.local")
	if c.authority, err = ca.LoadOrCreate(ctx, kube, heddlev1alpha1.SystemNamespace, trustDomain, time.Now()); err != nil {
		return err
	}
	c.serve()
	if err := c.install(ctx); err != nil {
		return err
	}
	return c.publish(ctx, scheme)
}

// serve opens the endpoint with the operator's kind of certificate.
func (c *cluster) serve() {
	host := heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc"
	mux := http.NewServeMux()
	mux.Handle(webhook.ConversionPath, webhook.Conversion{Log: logr.Discard()})
	c.conversion = httptest.NewUnstartedServer(mux)
	c.conversion.TLS = ca.NewServingSource(c.authority, []string{host}, time.Now).TLSConfig()
	c.conversion.StartTLS()
}

// install applies the CRDs and roles. Nothing routes a cluster IP here, so the
// operator's Service is another name of this machine, and the port is the
// endpoint's.
func (c *cluster) install(ctx context.Context) error {
	_, port, err := net.SplitHostPort(c.conversion.Listener.Addr().String())
	if err != nil {
		return err
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: heddlev1alpha1.SystemNamespace, Name: heddlev1alpha1.OperatorName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	if err := c.client.Create(ctx, service); err != nil {
		return err
	}
	definitions, err := c.run(ctx, "", "kustomize", root+"/crds")
	if err != nil {
		return err
	}
	reached := strings.ReplaceAll(definitions, "          port: 443\n", "          port: "+port+"\n")
	if reached == definitions {
		return errors.New("no CRD points at the operator")
	}
	if _, err := c.run(ctx, reached, "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	if _, err := c.run(ctx, "", "apply", "--server-side", "-k", root+"/config/rbac"); err != nil {
		return err
	}
	_, err = c.run(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
	return err
}

// publish has the CA bundle kept by the operator's service account, and waits
// until the API server has it.
func (c *cluster) publish(ctx context.Context, scheme *runtime.Scheme) error {
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + heddlev1alpha1.SystemNamespace + ":" + heddlev1alpha1.OperatorName,
		Groups:   []string{"system:serviceaccounts", "system:authenticated"},
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	publisher := &ca.ConversionPublisher{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), RootsPEM: c.authority.RootsPEM(),
		Namespace: heddlev1alpha1.SystemNamespace, Service: heddlev1alpha1.OperatorName, Definitions: convert.Definitions(),
	}
	if err := publisher.SetupWithManager(mgr); err != nil {
		return err
	}
	go func() { _ = mgr.Start(ctx) }()
	return c.awaitBundle(ctx)
}

// awaitBundle waits until every definition has the CA bundle and the API server
// has taken note of it.
func (c *cluster) awaitBundle(ctx context.Context) error {
	objection := errors.New("never asked")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		var objections []error
		for _, name := range convert.Definitions() {
			objections = append(objections, c.converts(ctx, name))
		}
		objection = errors.Join(objections...)
		return objection == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the API server can't convert: %w", objection)
	}
	return nil
}

func (c *cluster) converts(ctx context.Context, name string) error {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := c.client.Get(ctx, client.ObjectKey{Name: name}, &definition); err != nil {
		return err
	}
	if string(definition.Spec.Conversion.Webhook.ClientConfig.CABundle) != string(c.authority.RootsPEM()) {
		return fmt.Errorf("definition %s has no CA bundle", name)
	}
	group, version, kind := definition.Spec.Group, "v1alpha1", definition.Spec.Names.Kind
	probe := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/" + version, "kind": kind, "metadata": map[string]any{"generateName": "probe-", "namespace": "shop"},
	}}
	switch kind {
	case "TrafficSplit":
		probe.Object["spec"] = map[string]any{"service": "x", "backends": []any{}}
	case "TrafficTarget":
		probe.Object["destination"] = map[string]any{"kind": "ServiceAccount", "name": "x"}
	case "HTTPRouteGroup":
		probe.Object["matches"] = []any{}
	}
	_, err := c.of(kind, version).Create(ctx, probe, metav1.CreateOptions{})
	return err
}

// run runs kubectl as the cluster's administrator.
func (c *cluster) run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %q: %w\n%s", args, err, stderr.String())
	}
	return string(out), nil
}
