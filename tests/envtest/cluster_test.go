// Package envtest_test asks a real kube-apiserver, with etcd behind it, what no
// unit test can know: that the manifests install and stay put, that the
// operator's rights are enough and no more, that bad objects are refused by the
// field at fault, how objects are listed, and that ingestion and injection work
// with real watches and a real admission chain.
//
//	TestMain -> kube-apiserver + kustomize/default -> TestOperator, a run of the real program
//	                                               -> everything else, in parallel, each in its own namespace
//
// TestOperator runs alone and first, because a running operator writes status.
//
// Not repeated here, because they have tests of their own: what a schema
// refuses without rules in CEL (crds/bases), the other limits of a Canary
// (canary/controller), what becomes of an object in another version
// (operator/webhook), tokens (operator/authn), how conditions merge
// (operator/status), and which pods the webhook's selectors mean and that no
// role has a wildcard (tests/arch).
package envtest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

const (
	// root is the top of the tree, seen from this package.
	root = "../.."
	// installation is what the guide says to apply.
	installation = root + "/kustomize/default"
	// patience is how long an event may take to be seen.
	patience = 30 * time.Second
)

// cluster is an API server with Heddle's manifests applied. There are no
// controllers, no kubelet and, outside TestOperator, no operator.
type cluster struct {
	config  *rest.Config
	scheme  *runtime.Scheme
	client  client.Client
	kube    kubernetes.Interface
	kubectl string
	// kubeconfig and auditLog are files, cache is where kubectl keeps what it
	// knows of the API server.
	kubeconfig, auditLog, cache string
	// dir holds what the API server itself is given.
	dir string
	// applied and complaints are what the installation printed.
	applied, complaints string
}

// shared is set by TestMain; absent says why there is no cluster.
var (
	shared *cluster
	absent error
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	code, err := withCluster(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// installed returns the cluster, or skips the test where the lab has not
// built an API server.
func installed(t *testing.T) *cluster {
	t.Helper()
	if shared == nil {
		t.Skip("no kube-apiserver; `go run ./tests/lab envtest-assets` builds one:", absent)
	}
	return shared
}

func withCluster(tests func() int) (code int, err error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return 0, fmt.Errorf("look for a kube-apiserver: %w", err)
		}
		assets = filepath.Join(home, ".cache", "heddle", "lab", "envtest-v1.34.4")
	}
	if _, absent = os.Stat(filepath.Join(assets, "kube-apiserver")); absent != nil {
		return tests(), nil
	}
	dir, err := os.MkdirTemp("", "heddle-envtest")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	environment := &envtest.Environment{BinaryAssetsDirectory: assets}
	auditLog, err := configure(environment, dir)
	if err != nil {
		return 0, err
	}
	config, err := environment.Start()
	if err != nil {
		return 0, errors.Join(fmt.Errorf("start kube-apiserver: %w", err), environment.Stop())
	}
	defer func() { err = errors.Join(err, environment.Stop()) }()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return 0, err
	}
	shared = &cluster{
		config: config, kubectl: environment.ControlPlane.KubectlPath,
		kubeconfig: kubeconfig, auditLog: auditLog, dir: dir, cache: filepath.Join(dir, "before"),
	}
	if err := shared.install(context.Background()); err != nil {
		return 0, err
	}
	shared.cache = filepath.Join(dir, "installed")
	return tests(), nil
}

// auditPolicy has the API server write down what the operator asks of it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + operatorUser + `"]
- level: None
`

// configure brings the API server near to a cluster's: service accounts count,
// owner references are checked, API groups may be answered elsewhere, and webhooks
// are called at the endpoints of their Service, since nothing here routes cluster
// IPs.
func configure(environment *envtest.Environment, dir string) (auditLog string, err error) {
	policy := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return "", err
	}
	auditLog = filepath.Join(dir, "audit.log")
	certFile, keyFile, err := frontProxy(dir)
	if err != nil {
		return "", err
	}
	environment.ControlPlane.GetAPIServer().Configure().
		Disable("disable-admission-plugins").
		Set("enable-admission-plugins", "OwnerReferencesPermissionEnforcement").
		Set("enable-aggregator-routing", "true").
		Set("requestheader-client-ca-file", certFile).
		Set("proxy-client-cert-file", certFile).
		Set("proxy-client-key-file", keyFile).
		Set("requestheader-allowed-names", frontProxyName).
		Set("requestheader-username-headers", "X-Remote-User").
		Set("requestheader-group-headers", "X-Remote-Group").
		Set("requestheader-extra-headers-prefix", "X-Remote-Extra-").
		Set("audit-policy-file", policy).
		Set("audit-log-path", auditLog)
	return auditLog, nil
}

const frontProxyName = "front-proxy-client"

// frontProxy makes what the API server shows when it passes requests on: a
// certificate that is its own authority.
func frontProxy(dir string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	signed, err := cert.NewSelfSignedCACert(cert.Config{CommonName: frontProxyName}, key)
	if err != nil {
		return "", "", err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "front-proxy.crt"), filepath.Join(dir, "front-proxy.key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: signed.Raw})
	return certFile, keyFile, errors.Join(os.WriteFile(certFile, certPEM, 0o600), os.WriteFile(keyFile, keyPEM, 0o600))
}

func (c *cluster) install(ctx context.Context) error {
	c.scheme = runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, heddlev1alpha1.AddToScheme, splitv1alpha4.AddToScheme,
		accessv1alpha3.AddToScheme, specsv1alpha4.AddToScheme,
	} {
		if err := add(c.scheme); err != nil {
			return fmt.Errorf("scheme: %w", err)
		}
	}
	var err error
	if c.kube, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if c.applied, c.complaints, err = c.run(ctx, "apply", "--server-side", "-k", installation); err != nil {
		return err
	}
	// A CRD is established a moment before its kind is served everywhere.
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return c.served(), nil
	})
	if err != nil {
		return fmt.Errorf("the kinds are not served: %w", err)
	}
	// A client learns the kinds once.
	if c.client, err = client.New(c.config, client.Options{Scheme: c.scheme}); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// served says whether discovery lists all our kinds.
func (c *cluster) served() bool {
	lists, err := c.kube.Discovery().ServerPreferredResources()
	if err != nil {
		return false
	}
	known := map[string]bool{}
	for _, list := range lists {
		for _, r := range list.APIResources {
			known[list.GroupVersion+" "+r.Kind] = true
		}
	}
	return !slices.ContainsFunc(kinds, func(k kind) bool { return !known[k.version.String()+" "+k.kind] })
}

// run runs kubectl as the cluster's administrator.
func (c *cluster) run(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, c.kubectl, append([]string{"--kubeconfig", c.kubeconfig, "--cache-dir", c.cache}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), complaints.String(), fmt.Errorf("kubectl %q: %w\n%s%s", args, err, out.String(), complaints.String())
	}
	return out.String(), complaints.String(), nil
}

// must is run for what has to succeed; it returns what was printed.
func (c *cluster) must(t *testing.T, args ...string) string {
	t.Helper()
	out, complaints, err := c.run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if complaints != "" {
		t.Errorf("kubectl %q complains: %s", args, complaints)
	}
	return out
}

// as returns a client of another kind: who asks, and what becomes of warnings.
func (c *cluster) as(t *testing.T, change func(*rest.Config)) client.Client {
	t.Helper()
	config := rest.CopyConfig(c.config)
	change(config)
	other, err := client.New(config, client.Options{Scheme: c.scheme})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// namespace makes one that no other test knows, with the service account that
// a controller would make.
func (c *cluster) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	c.create(t, namespace)
	c.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "default"}})
	return namespace.Name
}

func (c *cluster) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := c.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// await asks again until check is content; its last objection is told when
// patience ends.
func await(t *testing.T, what string, check func(ctx context.Context) error) {
	t.Helper()
	objection := errors.New("never asked")
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		// Not the poll's own context: its end would be the last objection.
		objection = check(t.Context())
		return objection == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, objection)
	}
}
