package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const patience = 2 * time.Minute

// shop is a namespace with the apps cart-v1 and cart-v2 behind Service cart,
// and web, which calls them.
type shop struct {
	t         *testing.T
	namespace string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("no cluster: set KUBECONFIG, or run make test")
	}
	name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "_", "-")
	s := &shop{t: t, namespace: fmt.Sprintf("e2e-%.40s-%d", name, os.Getpid()%1000)}
	s.apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {heddle.dev/inject: enabled}}\n", s.namespace))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.try("get", "pods,events", "-o", "wide")
			t.Log(out)
		}
		_, _ = s.kubectl(context.Background(), "", "delete", "namespace", s.namespace, "--wait=false")
	})
	s.apply(service("cart", "app: cart") + service("cart-v1", "app: cart, version: v1") + service("cart-v2", "app: cart, version: v2") +
		app("cart-v1", "cart", "v1", "serve") + app("cart-v2", "cart", "v2", "serve") + app("web", "web", "v1", "serve"))
	for _, name := range []string{"cart-v1", "cart-v2", "web"} {
		s.must("rollout", "status", "deployment/"+name, "--timeout="+patience.String())
	}
	return s
}

func service(name, selector string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  selector: {%s}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 9090}
  - {name: tcp-echo, port: 7070}
`, name, selector)
}

func app(name, account, version, command string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s, version: %[3]s}}
  template:
    metadata: {labels: {app: %[2]s, version: %[3]s}}
    spec:
      serviceAccountName: %[2]s
      terminationGracePeriodSeconds: 8
      containers:
      - name: app
        image: lab.local/shop:dev
        imagePullPolicy: IfNotPresent
        args: [%[4]s]
        env: [{name: NAME, value: %[1]s}, {name: VERSION, value: %[3]s}]
        ports: [{name: http, containerPort: 8080}]
        startupProbe: {tcpSocket: {port: http}, periodSeconds: 1}
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
`, name, account, version, command)
}

func (s *shop) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *shop) try(args ...string) (string, error) {
	return s.kubectl(s.t.Context(), "", append([]string{"-n", s.namespace}, args...)...)
}

func (s *shop) must(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *shop) apply(manifest string) {
	s.t.Helper()
	if out, err := s.tryApply(manifest); err != nil {
		s.t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

func (s *shop) tryApply(manifest string) (string, error) {
	return s.kubectl(s.t.Context(), manifest, "-n", s.namespace, "apply", "-f", "-")
}

// counts is what the shop's client reports.
type counts struct {
	Total     int            `json:"total"`
	ByCode    map[string]int `json:"byCode"`
	ByVersion map[string]int `json:"byVersion"`
	Errors    int            `json:"errors"`
	LastError string         `json:"lastError"`
	// P99 is in milliseconds.
	P99 float64 `json:"p99"`
}

// get has web ask the URL a number of times.
func (s *shop) get(n int, args ...string) counts {
	s.t.Helper()
	args = append([]string{"-n", s.namespace, "exec", "deployment/web", "-c", "app", "--", "/shop", "get", "-n", fmt.Sprint(n)}, args...)
	// Only what the client prints: kubectl has things of its own to say.
	cmd := exec.CommandContext(s.t.Context(), "kubectl", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var c counts
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		s.t.Fatalf("kubectl %s: %v in %q\n%s", strings.Join(args, " "), err, out, &stderr)
	}
	return c
}

// eventually repeats until the condition holds; changes take effect within
// seconds, though not at once.
func (s *shop) eventually(what string, holds func() bool) {
	s.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			s.t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}
