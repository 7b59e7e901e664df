package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// wire is what was heard of one peer on a pod's interface.
type wire struct{ TLSBytes, PlainBytes int }

// heard returns what the pod's interface carried to and from the peer by now.
func (s *shop) heard(peer string) wire {
	s.T.Helper()
	lines := strings.Split(strings.TrimSpace(s.Must("logs", "deployment/heard", "-c", "capture", "--tail=1")), "\n")
	var report struct {
		Peers   map[string]wire
		Dropped int
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &report); err != nil {
		s.T.Fatalf("%v in %q", err, lines)
	}
	if report.Dropped > 0 {
		s.T.Fatalf("%d frames went by unheard", report.Dropped)
	}
	return report.Peers[peer]
}

func (s *shop) podIP(app string) string {
	s.T.Helper()
	return s.Must("get", "pod", "-l", "app="+app, "-o", "jsonpath={.items[0].status.podIP}")
}

func TestNothingGoesInTheClearBetweenMeshedPods(t *testing.T) {
	s := newShop(t)
	outside := strings.ReplaceAll(shoptest.App("outside", "outside", "v1", "serve"), "metadata: {labels: {", "metadata: {labels: {heddle.dev/inject: disabled, ")
	s.Apply(shoptest.Service("heard", "app: heard") + shoptest.Service("web", "app: web") + outside + shoptest.App("heard", "heard", "v1", "serve") + `      - name: capture
        image: lab.local/shop:dev
        imagePullPolicy: IfNotPresent
        args: [capture]
        securityContext: {runAsUser: 0, runAsNonRoot: false, capabilities: {add: [NET_RAW]}}
`)
	s.RolledOut("heard", "outside")
	web, stranger := s.podIP("web"), s.podIP("outside")

	if c := s.Get(1000, "http://heard/"); c.ByCode["200"] != 1000 {
		t.Fatalf("of 1000 requests: %+v", c)
	}
	s.Get(100, "-http2", "http://heard/")
	s.Must("exec", "deployment/web", "-c", "app", "--", "/shop", "tcp", "-n", "20", "heard:7070")
	s.Must("exec", "deployment/web", "-c", "app", "--", "/shop", "grpc", "-n", "20", "heard:9090")
	s.Must("exec", "deployment/heard", "-c", "app", "--", "/shop", "get", "-n", "100", "http://web/")
	s.Must("exec", "deployment/outside", "-c", "app", "--", "/shop", "get", "-n", "20", "http://heard/")

	// The ear works: it hears the caller that is not in the mesh.
	s.Eventually("the outsider is heard", func() bool { return s.heard(stranger).PlainBytes > 20*len("GET / HTTP/1.1") })
	got := s.heard(web)
	t.Logf("on the interface: %d bytes of TLS and %d in the clear with web, %d in the clear with the outsider", got.TLSBytes, got.PlainBytes, s.heard(stranger).PlainBytes)
	if got.PlainBytes != 0 {
		t.Errorf("%d bytes went in the clear between meshed pods", got.PlainBytes)
	}
	if got.TLSBytes < 1100*100 {
		t.Errorf("only %d bytes of TLS were heard for 1100 requests", got.TLSBytes)
	}
}

func TestCaseO73_GRPCCallsAreSharedOneByOne(t *testing.T) {
	s := newShop(t)
	s.Apply(`apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: cart}
spec: {service: cart, backends: [{service: cart-v1, weight: 50}, {service: cart-v2, weight: 50}]}
`)
	s.Must("wait", "--for=condition=Accepted", "trafficsplit/cart", "--timeout=30s")
	// One connection: were it shared out whole, one version would get it all.
	s.Eventually("both versions answer calls of one connection", func() bool {
		out := s.Must("exec", "deployment/web", "-c", "app", "--", "/shop", "grpc", "-n", "200", "cart:9090")
		return strings.Contains(out, "200 calls answered") && strings.Contains(out, "v1:") && strings.Contains(out, "v2:")
	})
}
