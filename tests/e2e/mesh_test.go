package e2e

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

func TestSplitSharesRequestsByWeight(t *testing.T) {
	s := newShop(t)
	split := `apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: cart}
spec: {service: cart, backends: [{service: cart-v1, weight: %d}, {service: cart-v2, weight: %d}]}
`
	programmed := func() { s.Must("wait", "--for=condition=Programmed", "trafficsplit/cart", "--timeout=30s") }
	s.Apply(fmt.Sprintf(split, 0, 100))
	programmed()
	if c := s.Get(200, "http://cart/"); c.ByVersion["v2"] != 200 {
		t.Errorf("v2 gets everything as soon as the split is programmed: %+v", c)
	}
	s.Apply(fmt.Sprintf(split, 90, 10))
	programmed()
	c := s.Get(10000, "http://cart/")
	if c.ByCode["200"] != 10000 || c.Errors != 0 {
		t.Errorf("of 10000 requests %d were answered with 200, %d failed: %s", c.ByCode["200"], c.Errors, c.LastError)
	}
	if share := float64(c.ByVersion["v2"]) / 100; math.Abs(share-10) > 1 {
		t.Errorf("v2 got %.2f %% of the requests, want 10 %% give or take 1", share)
	}
}

func TestMissingBackendKeepsItsShareAsErrors(t *testing.T) {
	s := newShop(t)
	s.Apply(`apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: cart}
spec: {service: cart, backends: [{service: cart-v1, weight: 50}, {service: nowhere, weight: 50}]}
`)
	s.Must("wait", "--for=condition=ResolvedRefs=false", "trafficsplit/cart", "--timeout=30s")
	if out := s.Must("get", "trafficsplit", "cart", "-o", "jsonpath={.status.conditions[?(@.type==\"ResolvedRefs\")]}"); !strings.Contains(out, "BackendNotFound") || !strings.Contains(out, "nowhere") {
		t.Errorf("the condition names neither reason nor Service: %s", out)
	}
	s.Must("wait", "--for=condition=Programmed", "trafficsplit/cart", "--timeout=30s")
	c := s.Get(200, "http://cart/")
	if c.ByVersion["v1"] < 50 || c.ByCode["500"] < 50 || c.ByVersion["v1"]+c.ByCode["500"] != 200 {
		t.Errorf("half the requests are answered with 500: %+v", c)
	}
	if c.P99 > 2000 {
		t.Errorf("the answer takes %v ms: nobody shall wait for a backend that doesn't exist", c.P99)
	}
}

func TestTrafficTargetAdmitsOnlyWhatItNames(t *testing.T) {
	s := newShop(t)
	if c := s.Get(20, "http://cart/private"); c.ByCode["200"] != 20 {
		t.Fatalf("before the target everything is open: %+v", c)
	}
	s.Apply(`apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: cart}
spec:
  destination: {kind: ServiceAccount, name: cart}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: HTTPRouteGroup, name: api}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: api}
spec:
  matches:
  - {name: read, pathRegex: "/api/.*", methods: [GET]}
  - {name: beta, pathRegex: "/beta", headers: [{x-beta: "yes|on"}]}
`)
	s.Eventually("what no match names is denied", func() bool { return s.Get(10, "http://cart/private").ByCode["403"] == 10 })
	for name, test := range map[string]struct {
		code string
		args []string
	}{
		"a named path and method":            {"200", []string{"http://cart/api/items"}},
		"a query does not matter":            {"200", []string{"http://cart/api/items?a=b"}},
		"another method":                     {"403", []string{"-method", "POST", "http://cart/api/items"}},
		"a header that matches":              {"200", []string{"-H", "x-beta:on", "http://cart/beta"}},
		"a header that does not":             {"403", []string{"-H", "x-beta:only", "http://cart/beta"}},
		"no header":                          {"403", []string{"http://cart/beta"}},
		"a path made to match by its query":  {"403", []string{"http://cart/private?/api/items"}},
		"a doubly encoded step out":          {"403", []string{"http://cart/api/%252e%252e/private"}},
		"the same over HTTP/2 is admitted":   {"200", []string{"-http2", "http://cart/api/items"}},
		"and denied over HTTP/2 as expected": {"403", []string{"-http2", "http://cart/private"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c := s.Get(4, test.args...); c.ByCode[test.code] != 4 {
				t.Errorf("%v: want %s for all: %+v", test.args, test.code, c)
			}
		})
	}
	// Connections from before the target don't normalise, so there the path is
	// denied; on others it is refused as malformed.
	if c := s.Get(4, "http://cart/api/..%2fprivate"); c.ByCode["400"]+c.ByCode["403"] != 4 {
		t.Errorf("an encoded slash is let through: %+v", c)
	}
}

func TestTCPAndHTTP2ReachTheirServices(t *testing.T) {
	s := newShop(t)
	if out := s.Must("exec", "deployment/web", "-c", "app", "--", "/shop", "tcp", "-n", "20", "cart:7070"); !strings.Contains(out, "20 connections echoed") {
		t.Errorf("TCP echo: %s", out)
	}
	pod := s.Must("get", "pod", "-l", "version=v1,app=cart", "-o", "jsonpath={.items[0].metadata.name}")
	stats := s.Must("get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:15020/proxy/stats/prometheus", s.Namespace, pod))
	for _, series := range []string{"connections", "received_bytes", "sent_bytes"} {
		counted := regexp.MustCompile(`envoy_heddle_tcp_` + series + `_total\{[^}]*source_identity="spiffe://[^"]+/sa/web"[^}]*\} ([0-9]+)`).FindStringSubmatch(stats)
		if counted == nil || counted[1] == "0" {
			t.Errorf("no %s of web's connections are counted: %v", series, counted)
		}
	}
	if c := s.Get(50, "-http2", "http://cart/"); c.ByCode["200"] != 50 {
		t.Errorf("HTTP/2: %+v", c)
	}
}

func TestCaseO23_StrictRefusesPlaintextFromOutside(t *testing.T) {
	s := newShop(t)
	s.Apply(strings.ReplaceAll(shoptest.App("outside", "outside", "v1", "serve"), "metadata: {labels: {", "metadata: {labels: {heddle.dev/inject: disabled, "))
	s.RolledOut("outside")
	from := func(code string) func() bool {
		return func() bool {
			out := s.Must("exec", "deployment/outside", "-c", "app", "--", "/shop", "get", "-n", "5", "http://cart/")
			return strings.Contains(out, `"`+code+`":5`)
		}
	}
	s.Eventually("Permissive admits a caller without a sidecar", from("200"))
	s.Must("label", "namespace", s.Namespace, "heddle.dev/mtls=Strict")
	s.Eventually("Strict refuses it", from("403"))
	if c := s.Get(20, "http://cart/"); c.ByCode["200"] != 20 {
		t.Errorf("callers of the mesh go on: %+v", c)
	}
	// The kubelet's own requests are admitted still.
	s.Must("rollout", "restart", "deployment/cart-v1")
	s.RolledOut("cart-v1")
}

func TestBadInputIsRefusedWithARemedy(t *testing.T) {
	s := newShop(t)
	for name, test := range map[string]struct{ manifest, want string }{
		"a negative weight": {
			"apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: bad}\nspec: {service: cart, backends: [{service: cart-v1, weight: -1}]}\n",
			"spec.backends[0].weight",
		},
		"an unknown field": {
			"apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: bad}\nspec: {service: cart, shares: 1, backends: [{service: cart-v1, weight: 1}]}\n",
			"shares",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s.TryApply(test.manifest)
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("want a refusal that names %s: %v\n%s", test.want, err, out)
			}
		})
	}
	out, err := s.TryApply("apiVersion: v1\nkind: Pod\nmetadata: {name: hostnet}\nspec: {hostNetwork: true, containers: [{name: app, image: lab.local/shop:dev, args: [serve]}]}\n")
	if err != nil || !strings.Contains(out, "Warning") || !strings.Contains(out, "hostNetwork") {
		t.Errorf("a pod on the node's network runs outside the mesh, with a warning: %v\n%s", err, out)
	}
}

func TestReadsAreTriedElsewhereWhenTheAppHangsUp(t *testing.T) {
	s := newShop(t)
	// A pod that is ready becomes an endpoint a moment later.
	s.Eventually("both versions answer", func() bool {
		c := s.Get(20, "http://cart/")
		return c.ByCode["200"] == c.Total && c.ByVersion["v1"] > 0 && c.ByVersion["v2"] > 0
	})
	// v1 closes the connection instead of answering, as it would in its end.
	if c := s.Get(200, "http://cart/hangup/v1"); c.ByVersion["v2"] != 200 {
		t.Errorf("reads are answered by v2: %+v", c)
	}
	if c := s.Get(200, "-method", "POST", "http://cart/hangup/v1"); c.ByVersion["v2"] == 200 || c.ByCode["503"] == 0 {
		t.Errorf("what may have been done is not done again: %+v", c)
	}
}

func TestRestartsLoseNoRequest(t *testing.T) {
	s := newShop(t)
	done := make(chan shoptest.Counts)
	go func() { done <- s.Get(6000, "-c", "4", "http://cart/") }()
	s.Must("rollout", "restart", "deployment/cart-v1", "deployment/cart-v2")
	s.RolledOut("cart-v1", "cart-v2")
	if c := <-done; c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("requests failed while pods were replaced: %+v", c)
	}
}

// The one pod of a Deployment is replaced while it is written to, which is never done
// twice.
func TestARestartOfOnePodLosesNoWrite(t *testing.T) {
	s := newShop(t)
	s.Load("POST", "http://cart-v1/", 200)
	before := s.Must("get", "pod", "-l", "version=v1,app=cart", "-o", "name")
	s.Must("rollout", "restart", "deployment/cart-v1")
	s.Must("wait", "--for=delete", strings.TrimSpace(before), "--timeout="+shoptest.Patience.String())
	if c := s.Loaded(); c.Total < 200 || c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("requests failed while the pod was replaced: %+v", c)
	}
}

// A caller that excludes the Services' addresses is one from outside the mesh, and
// told so.
func TestCaseO39_AnExclusionThatCoversTheServicesIsWarnedOf(t *testing.T) {
	s := newShop(t)
	out, err := s.Kubectl(t.Context(), "apiVersion: heddle.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {egress: {excludePrefixes: [10.96.0.0/12]}}\n",
		"apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-")
	if err != nil || !strings.Contains(out, "10.96.0.0/12 excludes the service range") {
		t.Errorf("%v: %s", err, out)
	}
	s.Must("label", "namespace", s.Namespace, "heddle.dev/mtls=Strict")
	s.Apply(strings.ReplaceAll(shoptest.App("around", "around", "v1", "serve"), "metadata: {labels: {app", "metadata: {annotations: {heddle.dev/exclude-outbound-prefixes: 10.96.0.0/12}, labels: {app"))
	s.RolledOut("around")
	s.Eventually("it is refused", func() bool {
		out := s.Must("exec", "deployment/around", "-c", "app", "--", "/shop", "get", "-n", "5", "http://cart/")
		return strings.Contains(out, `"403":5`)
	})
}

// Default deny is for callers of the app: Prometheus, outside the mesh, reads the
// sidecar's counters without a TrafficTarget, and nothing else of the sidecar.
func TestCaseO58_DefaultDenyDoesNotHideTheMetrics(t *testing.T) {
	s := newShop(t)
	s.Must("label", "namespace", s.Namespace, "heddle.dev/access=Deny", "heddle.dev/mtls=Strict")
	s.Apply(strings.ReplaceAll(shoptest.App("outside", "outside", "v1", "serve"), "metadata: {labels: {", "metadata: {labels: {heddle.dev/inject: disabled, "))
	s.RolledOut("outside")
	answered := func(method, url string) string {
		return s.Must("exec", "deployment/outside", "-c", "app", "--", "/shop", "get", "-n", "5", "-method", method, url)
	}
	s.Eventually("the app is closed to the caller", func() bool { return strings.Contains(answered("GET", "http://cart/"), `"403":5`) })
	sidecar := "http://" + s.podIP("cart") + ":15020"
	for _, test := range []struct{ method, path, code string }{
		{"GET", "/stats/prometheus", "200"},
		{"GET", "/stats", "404"},
		{"GET", "/config_dump", "404"},
		{"POST", "/quitquitquit", "404"},
	} {
		if out := answered(test.method, sidecar+test.path); !strings.Contains(out, `"`+test.code+`":5`) {
			t.Errorf("%s %s is answered with %s: %s", test.method, test.path, test.code, out)
		}
	}
}
