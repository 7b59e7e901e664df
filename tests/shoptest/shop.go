// Package shoptest gives tests a shop on a real cluster: that of KUBECONFIG, where
// Heddle and the images of the lab must be installed (make test sees to both).
package shoptest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Patience is how long anything may take that happens in the cluster.
const Patience = 2 * time.Minute

// Shop is a namespace of the mesh, and the test that uses it.
type Shop struct {
	T         *testing.T
	Namespace string
}

// New makes a namespace of the mesh for the test alone, with the apps cart-v1 and
// cart-v2 behind Service cart, and web, which calls them. It is deleted when the
// test ends. Without a cluster the test is skipped.
func New(t *testing.T) *Shop {
	t.Helper()
	s := Empty(t)
	s.Apply(Service("cart", "app: cart") + Service("cart-v1", "app: cart, version: v1") + Service("cart-v2", "app: cart, version: v2") +
		App("cart-v1", "cart", "v1", "serve") + App("cart-v2", "cart", "v2", "serve") + App("web", "web", "v1", "serve"))
	s.RolledOut("cart-v1", "cart-v2", "web")
	return s
}

// Empty is New without the apps.
func Empty(t *testing.T) *Shop {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("no cluster: set KUBECONFIG, or run make test")
	}
	name := strings.NewReplacer("_", "-", "/", "-", ":", "-", ".", "-").Replace(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")))
	s := &Shop{T: t, Namespace: fmt.Sprintf("e2e-%.40s-%d", name, os.Getpid()%1000)}
	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {heddle.dev/inject: enabled}}\n", s.Namespace))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.Try("get", "pods,events", "-o", "wide")
			t.Log(out)
		}
		_, _ = s.Kubectl(context.Background(), "", "delete", "namespace", s.Namespace, "--wait=false")
	})
	return s
}

// Service is the manifest of a Service with a port of each protocol.
func Service(name, selector string) string {
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

// App is the manifest of a Deployment that runs the lab's shop, and of its account.
func App(name, account, version, command string) string {
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

// Gate is the manifest of an app that answers with errors until Open, and of its
// Service.
func Gate(name string) string {
	return Service(name, "app: "+name) + strings.Replace(App(name, name, "v1", "serve"), "env: [", `env: [{name: ERROR_RATE, value: "1"}, `, 1)
}

// Open has an app answer well, or with errors again.
func (s *Shop) Open(name string, open bool) {
	s.T.Helper()
	rate := "1"
	if open {
		rate = "0"
	}
	s.Must("set", "env", "deployment/"+name, "ERROR_RATE="+rate)
	s.RolledOut(name)
}

// RolledOut waits until every pod of the Deployments is the newest, and ready.
func (s *Shop) RolledOut(deployments ...string) {
	s.T.Helper()
	for _, name := range deployments {
		s.Must("rollout", "status", "deployment/"+name, "--timeout="+Patience.String())
	}
}

// Kubectl runs kubectl as it is, and returns all it prints.
func (s *Shop) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Try runs kubectl in the namespace.
func (s *Shop) Try(args ...string) (string, error) {
	return s.Kubectl(s.T.Context(), "", append([]string{"-n", s.Namespace}, args...)...)
}

// Must is Try; an error ends the test.
func (s *Shop) Must(args ...string) string {
	s.T.Helper()
	out, err := s.Try(args...)
	if err != nil {
		s.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Apply has the namespace hold what the manifest says; an error ends the test.
func (s *Shop) Apply(manifest string) {
	s.T.Helper()
	if out, err := s.TryApply(manifest); err != nil {
		s.T.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// TryApply is Apply for what may be refused.
func (s *Shop) TryApply(manifest string) (string, error) {
	return s.Kubectl(s.T.Context(), manifest, "-n", s.Namespace, "apply", "-f", "-")
}

// Counts is what the shop's client reports.
type Counts struct {
	Total     int            `json:"total"`
	ByCode    map[string]int `json:"byCode"`
	ByVersion map[string]int `json:"byVersion"`
	Errors    int            `json:"errors"`
	LastError string         `json:"lastError"`
	// Failed is by version when its answers were errors.
	Failed map[string]Spell `json:"failed"`
	// P50 and P99 are in milliseconds.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// Seconds is how long it took, of Get only.
	Seconds float64 `json:"seconds"`
}

// Spell is from a first to a last answer, as the client saw them.
type Spell struct{ First, Last time.Time }

// Near is that a version answers this part of the requests, of which every one
// is answered with 200.
func (c Counts) Near(version string, part float64) bool {
	return c.ByCode["200"] == c.Total && math.Abs(float64(c.ByVersion[version])/float64(c.Total)-part) <= 0.05
}

// Get has web ask the URL a number of times.
func (s *Shop) Get(n int, args ...string) Counts {
	s.T.Helper()
	args = append([]string{"-n", s.Namespace, "exec", "deployment/web", "-c", "app", "--", "/shop", "get", "-n", fmt.Sprint(n)}, args...)
	// Only what the client prints: kubectl has things of its own to say.
	cmd := exec.CommandContext(s.T.Context(), "kubectl", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var c Counts
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		s.T.Fatalf("kubectl %s: %v in %q\n%s", strings.Join(args, " "), err, out, &stderr)
	}
	return c
}

// Eventually repeats until the condition holds; changes take effect within
// seconds, though not at once.
func (s *Shop) Eventually(what string, holds func() bool) {
	s.T.Helper()
	end := time.After(Patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			s.T.Fatalf("not within %s: %s", Patience, what)
		case <-tick.C:
		}
	}
}

// Load has app load ask the URL so many times a second from now on, by the method, and
// waits until it does.
func (s *Shop) Load(method, url string, perSecond int) {
	s.T.Helper()
	s.Apply(strings.NewReplacer("containerPort: 8080", "containerPort: 8090", "/healthz", "/stats").
		Replace(App("load", "load", "v1", fmt.Sprintf(`load, -method, %s, -u, %q, -rps, "%d"`, method, url, perSecond))))
	s.RolledOut("load")
}

// Loaded is what app load has seen so far.
func (s *Shop) Loaded() Counts {
	s.T.Helper()
	pod := s.Must("get", "pod", "-l", "app=load", "-o", "jsonpath={.items[0].metadata.name}")
	out := s.Must("get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8090/proxy/stats", s.Namespace, pod))
	var c Counts
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		s.T.Fatalf("%v in %q", err, out)
	}
	return c
}
