package envtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// operatorUser is who the operator is to the API server.
const operatorUser = "system:serviceaccount:" + heddlev1alpha1.SystemNamespace + ":" + heddlev1alpha1.OperatorName

// operator is a run of the real program with its service account's token. The
// API server reaches its webhook by its Service.
type operator struct {
	*cluster
	process *exec.Cmd
	binary  string
	ended   chan error
	log     string
	// xds is the address of its xDS server, webhook the port of the other.
	xds     string
	webhook int
}

// The program does what it is for on the rights it is installed with, and
// nothing it asks for is refused.
func TestOperator(t *testing.T) {
	c := installed(t)
	broken := c.storeBroken(t)
	o := startOperator(t, c)
	t.Run("running", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *operator){
			"injects pods":                       testInjection,
			"injects by a pod's own label":       testDryRun,
			"leaves pods on the host's network":  testHostNetwork,
			"refuses pods at fault":              testRefusedPod,
			"keeps its CA bundle":                testCABundle,
			"keeps the roots in namespaces":      testRoots,
			"converts older versions":            testOlderVersions,
			"tells of what no schema can see":    testFindings,
			"refuses what can never work":        testValidation,
			"lets what was broken be mended":     broken.test,
			"releases step by step":              testRelease,
			"serves pods that show a good token": testDelivery,
			"counts the proxies of all replicas": testReplicas,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, o)
			})
		}
	})
	o.stop(t)
	t.Run("stopped", func(t *testing.T) {
		t.Run("what it asked for", func(t *testing.T) { testRightsInUse(t, c) })
		t.Run("meshed pods wait", func(t *testing.T) { testFailsClosed(t, c) })
		t.Run("nobody waits to write", func(t *testing.T) { testNothingIsJudged(t, c) })
	})
	t.Run("traffic metrics", func(t *testing.T) { testTrafficMetrics(t, c, o.binary) })
}

func startOperator(t *testing.T, c *cluster) *operator {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "heddle-operator")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, root+"/cmd/heddle-operator").CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v\n%s", err, out)
	}
	return startReplica(t, c, binary, 0)
}

// startReplica starts the replica of that number, with further flags. The API
// server calls the webhook of the first.
func startReplica(t *testing.T, c *cluster, binary string, number int, flags ...string) *operator {
	t.Helper()
	dir, name := t.TempDir(), heddlev1alpha1.OperatorName+"-"+strconv.Itoa(number)
	host, ports := address(t), freePorts(t, 3)
	if number == 0 {
		c.endpoint(t, name+"-webhook", "webhook", host, ports[0])
	}
	c.endpoint(t, name+"-xds", "xds", host, ports[1])
	kubeconfig, tokenFile := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "token")
	c.credentials(t, kubeconfig)
	c.replicaToken(t, name, tokenFile)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{cluster: c, binary: binary, log: log.Name(), xds: loopback(ports[1]), webhook: ports[0], ended: make(chan error, 1)}
	health := loopback(ports[2])
	o.process = exec.CommandContext(context.WithoutCancel(t.Context()), binary, append([]string{ //nolint:gosec // built above
		"--init-image=heddle-init:test", "--proxy-image=envoy:test", "--webhook-port=" + strconv.Itoa(ports[0]), "--token-file=" + tokenFile,
		"--xds-address=:" + strconv.Itoa(ports[1]), "--health-address=" + health, "--metrics-address=127.0.0.1:0", "--debug-address=127.0.0.1:0",
		"--prometheus-url=http://" + loopback(1),
	}, flags...)...)
	o.process.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POD_NAMESPACE="+heddlev1alpha1.SystemNamespace, "POD_NAME="+name)
	o.process.Stdout, o.process.Stderr = log, log
	if err := o.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { o.ended <- o.process.Wait() }()
	t.Cleanup(func() {
		_ = o.process.Process.Kill()
		_ = log.Close()
		if text, err := os.ReadFile(o.log); t.Failed() && err == nil {
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(line, `"level":"info"`) {
					t.Log(name, "says:", line)
				}
			}
		}
	})
	await(t, name+" is ready", func(ctx context.Context) error { return o.ready(ctx, health) })
	return o
}

// replicaToken writes what a kubelet would project into the replica's pod.
func (c *cluster) replicaToken(t *testing.T, name, file string) {
	t.Helper()
	yes, no := true, false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: heddlev1alpha1.SystemNamespace, Name: name,
			Labels: map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectDisabled},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: heddlev1alpha1.OperatorName,
			SecurityContext:    &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: heddlev1alpha1.OperatorName, Image: "x", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
	c.create(t, pod)
	if err := os.WriteFile(file, []byte(c.token(t, pod, heddlev1alpha1.TokenAudience)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o *operator) ready(ctx context.Context, health string) error {
	select {
	case err := <-o.ended:
		o.ended <- err
		return fmt.Errorf("it has ended: %w", err)
	default:
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// stop ends the operator as a kubelet would.
func (o *operator) stop(t *testing.T) {
	t.Helper()
	if err := o.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-o.ended:
		if err != nil {
			t.Errorf("the operator ended with an error: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the operator does not end")
	}
}

// credentials writes a kubeconfig with a token of the operator's service
// account.
func (c *cluster) credentials(t *testing.T, file string) {
	t.Helper()
	token, err := c.kube.CoreV1().ServiceAccounts(heddlev1alpha1.SystemNamespace).CreateToken(
		t.Context(), heddlev1alpha1.OperatorName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: c.config.Host, CertificateAuthorityData: c.config.CAData}
	config.AuthInfos["operator"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "operator"}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
}

// endpoint tells where a port of the operator's Service is, as a controller
// would if the operator ran in a pod.
func (c *cluster) endpoint(t *testing.T, slice, name string, host netip.Addr, port int) {
	t.Helper()
	number, ready := int32(port), true //nolint:gosec // a port
	c.create(t, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: heddlev1alpha1.SystemNamespace, Name: slice,
			Labels: map[string]string{discoveryv1.LabelServiceName: heddlev1alpha1.OperatorName},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &number}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	})
}

// address is one of this machine's that an endpoint may have: not a loopback
// address.
func address(t *testing.T) netip.Addr {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
			return prefix.Addr()
		}
	}
	t.Skip("this machine has no IPv4 address that an endpoint may have")
	return netip.Addr{}
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() //nolint:revive // all are held until the last is known
		tcp, _ := listener.Addr().(*net.TCPAddr)
		ports = append(ports, tcp.Port)
	}
	return ports
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// configMap returns what the operator keeps in a namespace, nil when nothing.
func (c *cluster) configMap(ctx context.Context, namespace string) (*corev1.ConfigMap, error) {
	list, err := c.kube.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + heddlev1alpha1.CAConfigMap})
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	return &list.Items[0], nil
}

// roots awaits the PEM bundle in a namespace.
func (c *cluster) roots(t *testing.T, namespace string) string {
	t.Helper()
	var found string
	await(t, "the roots are in namespace "+namespace, func(ctx context.Context) error {
		config, err := c.configMap(ctx, namespace)
		switch {
		case err != nil:
			return err
		case config == nil:
			return errors.New("there is no ConfigMap")
		}
		if found = config.Data[heddlev1alpha1.CAKey]; !strings.Contains(found, "BEGIN CERTIFICATE") {
			return fmt.Errorf("it holds %q", found)
		}
		return nil
	})
	return found
}
