package explain_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/yaml"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// The cases here are reports from the field about meshes that speak SMI, by
// the numbers of docs/reference/conformance.md: manifests, a request, and what
// becomes of it. tests/differential holds the same model against a stock Envoy.

// objects reads manifests, separated by lines of three dashes. What they leave
// out is in namespace shop.
func objects(t *testing.T, manifests string) build.Objects {
	t.Helper()
	var out build.Objects
	for _, text := range strings.Split(manifests, "\n---\n") {
		var head struct{ Kind string }
		read := func(into any) {
			if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
		}
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		switch head.Kind {
		case "Namespace":
			out.Namespaces = append(out.Namespaces, one[corev1.Namespace](read))
		case "Service":
			out.Services = append(out.Services, one[corev1.Service](read))
		case "Pod":
			out.Pods = append(out.Pods, one[corev1.Pod](read))
		case "EndpointSlice":
			out.EndpointSlices = append(out.EndpointSlices, one[discoveryv1.EndpointSlice](read))
		case "TrafficSplit":
			out.TrafficSplits = append(out.TrafficSplits, one[splitv1alpha4.TrafficSplit](read))
		case "TrafficTarget":
			out.TrafficTargets = append(out.TrafficTargets, one[accessv1alpha3.TrafficTarget](read))
		case "HTTPRouteGroup":
			out.HTTPRouteGroups = append(out.HTTPRouteGroups, one[specsv1alpha4.HTTPRouteGroup](read))
		case "TCPRoute":
			out.TCPRoutes = append(out.TCPRoutes, one[specsv1alpha4.TCPRoute](read))
		default:
			t.Fatalf("kind %q in\n%s", head.Kind, text)
		}
	}
	return out
}

func one[T any](read func(any)) *T {
	out := new(T)
	read(out)
	return out
}

// behind is a Service with the cluster IP 10.96.0.n and port 80 that is HTTP,
// and its pods, which listen where the Service says, in namespace and with
// account, at 10.244.n.1 and on.
func behind(namespace, name, account string, n, target, pods int) string {
	text := fmt.Sprintf(`kind: Service
metadata: {namespace: %s, name: %s}
spec: {clusterIP: 10.96.0.%d, clusterIPs: [10.96.0.%d], ports: [{name: http, port: 80, targetPort: %d}]}
`, namespace, name, n, n, target)
	var endpoints []string
	for i := range pods {
		ip := fmt.Sprintf("10.244.%d.%d", n, i+1)
		text += fmt.Sprintf(`
---
kind: Pod
metadata: {namespace: %s, name: %s-%d, uid: %s-%d}
spec: {serviceAccountName: %s, initContainers: [{name: heddle-proxy}], containers: [{name: app}]}
status: {phase: Running, podIPs: [{ip: %s}]}
`, namespace, name, i, name, i, account, ip)
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [%s], targetRef: {kind: Pod, namespace: %s, name: %s-%d, uid: %s-%d}}", ip, namespace, name, i, name, i))
	}
	return text + fmt.Sprintf(`
---
kind: EndpointSlice
addressType: IPv4
metadata: {namespace: %s, name: %s-x, labels: {kubernetes.io/service-name: %s}}
ports: [{name: http, port: %d}]
endpoints: [%s]
`, namespace, name, name, target, strings.Join(endpoints, ", "))
}

func manifests(all ...string) string { return strings.Join(all, "\n---\n") }

func call(service string) explain.Request {
	r := get("/")
	r.To = key(service, 80)
	return r
}

// targetOf lets a source do to shop/cart what its group's match says.
func targetOf(name, source, match string) string {
	return manifests(fmt.Sprintf(`kind: TrafficTarget
metadata: {namespace: shop, name: %[1]s}
spec:
  destination: {kind: ServiceAccount, name: cart}
  sources: [{kind: ServiceAccount, name: %[2]s}]
  rules: [{kind: HTTPRouteGroup, name: %[1]s}]
`, name, source), fmt.Sprintf("kind: HTTPRouteGroup\nmetadata: {namespace: shop, name: %s}\nspec: {matches: [%s]}\n", name, match))
}

// wants asks service web of the mesh and compares outcomes by request, written
// "account METHOD target [name:value]".
func wants(t *testing.T, text string, all map[string]explain.Outcome) {
	t.Helper()
	snapshot, _ := build.Build(objects(t, text))
	for line, want := range all {
		part := strings.Fields(line)
		r := call("web")
		r.From.Identity.ServiceAccount, r.Method, r.Target = part[0], part[1], part[2]
		for _, header := range part[3:] {
			name, value, _ := strings.Cut(header, ":")
			if strings.EqualFold(name, "host") {
				r.Authority = value
				continue
			}
			r.Headers = append(r.Headers, explain.Header{Name: name, Value: value})
		}
		if got := explain.Explain(snapshot, r); got.Outcome != want {
			t.Errorf("%s: %s, want %s; %v", line, got.Outcome, want, got.Trace)
		}
	}
}

func web1() string { return behind("shop", "web", "cart", 1, 8080, 1) }

func TestCaseO14_PathsMatchAsAWhole(t *testing.T) {
	t.Parallel()
	wants(t, manifests(web1(), targetOf("t", "web", `{name: m, pathRegex: "/counter", methods: [GET]}`)), map[string]explain.Outcome{
		"web GET /counter": explain.Admitted, "web GET /counter?x=1": explain.Admitted,
		"web GET /incrementcounter": explain.Forbidden, "web GET /counterfeit": explain.Forbidden, "web GET /counter/1": explain.Forbidden,
	})
	wants(t, manifests(web1(), targetOf("t", "web", `{name: m, pathRegex: "/counter.*", methods: [GET]}`)), map[string]explain.Outcome{
		"web GET /counterfeit": explain.Admitted, "web GET /counter/1": explain.Admitted, "web GET /incrementcounter": explain.Forbidden,
	})
}

func TestCaseO15_AMatchWithoutPathOrMethods(t *testing.T) {
	t.Parallel()
	wants(t, manifests(web1(), targetOf("t", "web", `{name: m, headers: [{x-team: "a.*"}]}`)), map[string]explain.Outcome{
		"web PUT /any x-team:a1": explain.Admitted, "web GET /any x-team:b1": explain.Forbidden, "web GET /any": explain.Forbidden,
	})
	wants(t, manifests(web1(), targetOf("t", "web", `{name: all}`)), map[string]explain.Outcome{"web DELETE /any": explain.Admitted})
}

func TestCaseO16_TwoTargetsOfOneDestinationAddUp(t *testing.T) {
	t.Parallel()
	broad := `{name: m, pathRegex: "/api.*", methods: ["*"]}`
	narrow := `{name: m, pathRegex: "/api", methods: [GET]}`
	want := map[string]explain.Outcome{
		"c1 POST /api": explain.Admitted, "c2 GET /api": explain.Admitted, "c2 POST /api": explain.Forbidden, "c2 GET /api/x": explain.Forbidden,
	}
	wants(t, manifests(web1(), targetOf("a", "c1", broad), targetOf("b", "c2", narrow)), want)
	wants(t, manifests(web1(), targetOf("a", "c2", narrow), targetOf("b", "c1", broad)), want)
}

func TestCaseO17_AnEmptyNamespaceIsTheTargetsOwn(t *testing.T) {
	t.Parallel()
	target := func(namespace string) string {
		return strings.ReplaceAll(targetOf("t", "default", "{name: all}"), "namespace: shop", "namespace: "+namespace)
	}
	snapshot, _ := build.Build(objects(t, manifests(
		behind("shop", "web", "cart", 1, 8080, 1), behind("default", "web", "cart", 2, 8080, 1), target("shop"), target("default"))))
	for _, from := range []string{"shop", "default"} {
		for _, to := range []string{"shop", "default"} {
			r := call("web")
			r.To.Service.Namespace = to
			r.From.Identity = mesh.Identity{Namespace: from, ServiceAccount: "default"}
			want := explain.Forbidden
			if from == to {
				want = explain.Admitted
			}
			if got := explain.Explain(snapshot, r); got.Outcome != want {
				t.Errorf("%s to %s: %s, want %s", from, to, got.Outcome, want)
			}
		}
	}
}

// What the case asks for is that callers are sent only to the pods they may
// call. Heddle sends them to all, and the others refuse: decision 0018.
func TestCaseO18_OneServiceOfTwoAccountsNeverOpensTheOther(t *testing.T) {
	t.Parallel()
	two := strings.Replace(behind("shop", "web", "cart", 1, 8080, 2), "uid: web-1}\nspec: {serviceAccountName: cart", "uid: web-1}\nspec: {serviceAccountName: other", 1)
	closed := `kind: Namespace
metadata: {name: shop, labels: {heddle.dev/access: Deny}}
`
	snapshot, _ := build.Build(objects(t, manifests(closed, two, targetOf("t", "web", "{name: all}"))))
	for _, verdict := range explain.Explain(snapshot, call("web")).Branches[0].Verdicts {
		want := explain.Forbidden
		if verdict.Identity.ServiceAccount == "cart" {
			want = explain.Admitted
		}
		if verdict.Outcome != want {
			t.Errorf("pods of %s: %s, want %s", verdict.Identity.ServiceAccount, verdict.Outcome, want)
		}
	}
	r := call("web")
	r.To, r.Address = mesh.PortKey{}, netip.MustParseAddrPort("10.244.1.2:8080")
	if got := explain.Explain(snapshot, r).Outcome; got != explain.Forbidden {
		t.Errorf("the other pod's own address: %s", got)
	}
}

func TestCaseO19_PathParametersAreNoWayAround(t *testing.T) {
	t.Parallel()
	snapshot := manifests(web1(), targetOf("t", "web", `{name: m, pathRegex: "/public/.*"}`))
	wants(t, snapshot, map[string]explain.Outcome{
		"web GET /public/..;/admin": explain.Forbidden, "web GET /public/;/../admin": explain.Admitted, "web GET /public;x=1/a": explain.Forbidden,
	})
	// The second is admitted as what it is made to be before it is passed on.
	mesh, _ := build.Build(objects(t, snapshot))
	if got := explain.Explain(mesh, func() explain.Request { r := call("web"); r.Target = "/public/;/../admin"; return r }()).Branches[0].Verdicts[0].Path; got != "/public/admin" {
		t.Errorf("the application gets %q", got)
	}
}

func TestCaseO20_SlashesAndDotsAreResolvedBeforeTheyAreJudged(t *testing.T) {
	t.Parallel()
	text := manifests(web1(), targetOf("t", "web", `{name: m, pathRegex: "/data/public.*"}`))
	wants(t, text, map[string]explain.Outcome{
		"web GET /data/public/../secret": explain.Forbidden, "web GET /data/public/%2e%2e/secret": explain.Forbidden, "web GET /data//secret": explain.Forbidden,
		"web GET //data/public": explain.Admitted, "web GET /data/./public": explain.Admitted,
	})
	snapshot, _ := build.Build(objects(t, text))
	for _, target := range []string{"//data/public", "/data/./public"} {
		r := call("web")
		r.Target = target
		if got := explain.Explain(snapshot, r).Branches[0].Verdicts[0].Path; got != "/data/public" {
			t.Errorf("for %s the application gets %q", target, got)
		}
	}
}

func TestCaseO39_WhatIsExcludedIsSaidToBypassTheSidecar(t *testing.T) {
	t.Parallel()
	excluded := mesh.Exclusion{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}, Ports: []uint16{25}}
	closed := targetOf("t", "client", `{name: m, methods: [GET]}`)
	tests := map[string]struct {
		excluded mesh.Exclusion
		from     bool
		by       string
		want     explain.Outcome
	}{
		"nothing excluded":   {mesh.Exclusion{}, false, "", explain.Admitted},
		"a prefix":           {excluded, false, "10.96.0.0/12", explain.Forbidden},
		"another port":       {mesh.Exclusion{Ports: []uint16{25}}, false, "", explain.Admitted},
		"the port":           {mesh.Exclusion{Ports: []uint16{80}}, false, "port 80", explain.Forbidden},
		"whoever is outside": {excluded, true, "", explain.Forbidden},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := build.Build(objects(t, manifests(web1(), closed)))
			r := call("web")
			r.From = explain.Caller{Outside: tc.from, Identity: mesh.Identity{Namespace: "shop", ServiceAccount: "client"}}
			r.Excluded = tc.excluded
			d := explain.Explain(snapshot, r)
			if d.Bypassed != tc.by || d.Outcome != tc.want {
				t.Errorf("bypassed by %q, %s: %+v", d.Bypassed, d.Outcome, d.Trace)
			}
			told := slices.ContainsFunc(d.Trace, func(s explain.Step) bool { return strings.Contains(s.Text, "bypassed by exclusion of "+tc.by) })
			if told != (tc.by != "") {
				t.Errorf("told: %+v", d.Trace)
			}
		})
	}
}

func TestCaseO22_AHostInAPolicyMakesNoRoute(t *testing.T) {
	t.Parallel()
	text := manifests(web1(), targetOf("t", "web", `{name: m, headers: [{host: "payments.bank"}]}`))
	wants(t, text, map[string]explain.Outcome{"web GET / host:payments.bank": explain.Admitted, "web GET / host:web": explain.Forbidden})
	with, _ := build.Build(objects(t, text))
	without, _ := build.Build(objects(t, web1()))
	if diff := cmp.Diff(maps.Collect(without.Services.All()), maps.Collect(with.Services.All()), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("services and their routes (-without +with):\n%s", diff)
	}
}

func TestCaseO82_HeadersAsAListOrAMap(t *testing.T) {
	t.Parallel()
	want := map[string]explain.Outcome{
		"web GET / User-Agent:xAndroidx cookie:a;type=insider": explain.Admitted,
		"web GET / User-Agent:xAndroidx":                       explain.Forbidden, "web GET / cookie:type=insider": explain.Forbidden,
	}
	broken := targetOf("broken", "web", `{name: m, headers: "oops"}`)
	for _, headers := range []string{`[{user-agent: ".*Android.*"}, {cookie: ".*type=insider.*"}]`, `{user-agent: ".*Android.*", cookie: ".*type=insider.*"}`} {
		wants(t, manifests(web1(), targetOf("t", "web", "{name: m, headers: "+headers+"}"), broken), want)
	}
}
