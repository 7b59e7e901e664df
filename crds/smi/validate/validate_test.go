package validate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// kindOf finds the version in which a kind is judged.
func kindOf(t testing.TB, kind string) schema.GroupVersionKind {
	t.Helper()
	for known := range judges {
		if known.Kind == kind {
			return known
		}
	}
	t.Fatalf("%s is not judged", kind)
	return schema.GroupVersionKind{}
}

// judged judges a spec in YAML as an object that is named default and in
// namespace shop.
func judged(t testing.TB, kind, spec string) Result {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte("metadata: {name: default, namespace: shop}\nspec: " + spec))
	if err != nil {
		t.Fatal(err)
	}
	result, err := JSON(kindOf(t, kind), raw)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// words are the problems as they are told, each with its reason.
func words(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		text := p.String()
		if p.Reason != unconditional {
			text = p.Reason + " " + text
		}
		out = append(out, text)
	}
	return out
}

func TestWhatIsSaid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 56)
	for kind, tests := range map[string]map[string]struct {
		spec             string
		errors, warnings []string
	}{
		"TrafficSplit": {
			"a canary's": {spec: `{service: web, backends: [{service: web-primary, weight: 100}, {service: web-canary, weight: 0}]}`},
			"a weight left out (O11)": {
				spec: `{service: web, backends: [{service: web-canary}, {service: web-primary, weight: 100}]}`,
			},
			"the root as a backend (O7)":  {spec: `{service: web, backends: [{service: web, weight: 80}, {service: v2, weight: 20}]}`},
			"weights of any sum (O8, 13)": {spec: `{service: web, backends: [{service: v1, weight: 1000}, {service: v2, weight: 1}]}`},
			"a negative weight (O13)": {
				spec:   `{service: web, backends: [{service: v1, weight: 1}, {service: v2, weight: -200}]}`,
				errors: []string{"InvalidWeight spec.backends[1].weight: -200 is negative; use 0 or more"},
			},
			"one backend of weight 0 (O9)": {
				spec:     `{service: web, backends: [{service: v1, weight: 0}]}`,
				warnings: []string{"AllWeightsZero spec.backends: every request of the split is answered with 503; give one Service a weight above 0"},
			},
			"no backend": {
				spec:     `{service: web, backends: []}`,
				warnings: []string{"NoBackends spec.backends: every request of the split is answered with 503; name at least one Service"},
			},
			"a root in capitals (O64)": {
				spec:   `{service: Web, backends: [{service: v1, weight: 1}]}`,
				errors: []string{`Invalid spec.service: no Service can be named "Web"; use lower-case letters, digits and dashes`},
			},
			"names with their domain (O71)": {
				spec: `{service: web.shop.svc.cluster.local, backends: [{service: v1.shop, weight: 1}]}`,
				errors: []string{
					`Invalid spec.service: no Service can be named "web.shop.svc.cluster.local"; leave out namespace and domain: "web"`,
					`Invalid spec.backends[0].service: no Service can be named "v1.shop"; leave out namespace and domain: "v1"`,
				},
			},
			"names left empty": {
				spec: `{service: "", backends: [{service: "", weight: 1}], matches: [{kind: HTTPRouteGroup, name: ""}]}`,
				errors: []string{
					"Invalid spec.service: it is empty; name a Service", "Invalid spec.backends[0].service: it is empty; name a Service",
					"Invalid spec.matches[0].name: it is empty; name a HTTPRouteGroup",
				},
			},
			"a backend twice": {
				spec:     `{service: web, backends: [{service: v1, weight: 1}, {service: v1, weight: 1}]}`,
				warnings: []string{`spec.backends[1].service: Service "v1" is named before, and its weights add up; name it once`},
			},
			"a group twice": {
				spec:     `{service: web, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: g}, {apiGroup: specs.smi-spec.io, kind: HTTPRouteGroup, name: g}]}`,
				warnings: []string{`spec.matches[1].name: "g" is named before; remove this one`},
			},
			"matches of other kinds": {
				spec: `{service: web, backends: [{service: v1, weight: 1}], matches: [{kind: TCPRoute, name: r}, {apiGroup: apps, kind: HTTPRouteGroup, name: g}]}`,
				errors: []string{
					`InvalidKind spec.matches[0]: "TCPRoute" of "specs.smi-spec.io" is not HTTPRouteGroup of specs.smi-spec.io and matches nothing; name one that is`,
					`InvalidKind spec.matches[1]: "HTTPRouteGroup" of "apps" is not HTTPRouteGroup of specs.smi-spec.io and matches nothing; name one that is`,
				},
			},
		},
		"TrafficTarget": {
			"namespaces left out (O17)": {
				spec: `{destination: {kind: ServiceAccount, name: web}, sources: [{kind: ServiceAccount, name: default}], rules: [{kind: HTTPRouteGroup, name: g, matches: [m]}, {kind: TCPRoute, name: "r:80"}, {kind: TCPRoute, name: ":80"}]}`,
			},
			"namespaces given": {
				spec: `{destination: {kind: ServiceAccount, name: web, namespace: shop}, sources: [{kind: ServiceAccount, name: a, namespace: front}], rules: [{kind: TCPRoute, name: r}]}`,
			},
			"nobody and nothing": {
				spec: `{destination: {kind: ServiceAccount, name: web}, sources: [], rules: []}`,
				warnings: []string{
					"spec.sources: there are none, so the destination is closed and nobody is admitted; name a service account",
					"spec.rules: there are none, so the destination is closed and nothing is allowed; name a route",
				},
			},
			"a destination elsewhere": {
				spec:     `{destination: {kind: ServiceAccount, name: web, namespace: other}, sources: [{kind: ServiceAccount, name: a}], rules: [{kind: TCPRoute, name: r}]}`,
				warnings: []string{"CrossNamespaceDestination spec.destination.namespace: nothing is granted: only a TrafficTarget in namespace other can open its service accounts; move this one there"},
			},
			"other kinds": {
				spec: `{destination: {kind: Group, name: web}, sources: [{kind: Service, name: a}], rules: [{kind: GRPCRoute, name: r}]}`,
				errors: []string{
					`InvalidKind spec.destination.kind: "Group" is not ServiceAccount, so nothing is granted; name a service account`,
					`InvalidKind spec.sources[0].kind: "Service" is not ServiceAccount, so it admits nobody; name a service account`,
					`InvalidKind spec.rules[0].kind: "GRPCRoute" is no kind of route, so it grants nothing; use HTTPRouteGroup or TCPRoute`,
				},
			},
			"names that nothing has": {
				spec: `{destination: {kind: ServiceAccount, name: ""}, sources: [{kind: ServiceAccount, name: a_b, namespace: a.b}], rules: [{kind: HTTPRouteGroup, name: "g:80", matches: [""]}, {kind: TCPRoute, name: "r:http"}, {kind: TCPRoute, name: ""}]}`,
				errors: []string{
					"Invalid spec.destination.name: it is empty; name a service account",
					`Invalid spec.sources[0].name: no service account can be named "a_b"; use lower-case letters, digits and dashes`,
					`Invalid spec.sources[0].namespace: no namespace can be named "a.b"; use lower-case letters, digits and dashes`,
					`Invalid spec.rules[0].name: no HTTPRouteGroup can be named "g:80"; use lower-case letters, digits and dashes`,
					"Invalid spec.rules[0].matches[0]: it is empty; name a match of the group",
					`Invalid spec.rules[1].name: "r:http" is neither a TCPRoute nor one with a port; write NAME, NAME:PORT or :PORT`,
					"Invalid spec.rules[2].name: it is empty; name a TCPRoute",
				},
			},
			"what is not done": {
				spec: `{destination: {kind: ServiceAccount, name: web}, sources: [{kind: ServiceAccount, name: a}], rules: [{kind: UDPRoute, name: r}, {kind: TCPRoute, name: r, matches: [m]}]}`,
				warnings: []string{
					"Unsupported spec.rules[0].kind: UDPRoute is not enforced, so it grants nothing; remove the rule",
					`spec.rules[1].matches: only HTTPRouteGroup has matches to pick from, and these have no effect; remove them`,
				},
			},
		},
		"HTTPRouteGroup": {
			"paths, methods, headers": {
				spec: `{matches: [{name: a, pathRegex: "/counter.*", methods: [GET, PATCH]}, {name: b, headers: [{user-agent: ".*Android.*"}, {cookie: ".*type=insider.*"}]}, {name: c, headers: {host: web}}]}`,
			},
			"for everybody (O15)": {
				spec: `{matches: [{name: all}, {name: any, pathRegex: ".*", methods: ["*"]}, {name: told, pathRegex: ".*", methods: [GET]}]}`,
				warnings: []string{
					`spec.matches[0]: "all" holds for every request; limit its path, methods or headers unless that is meant`,
					`spec.matches[1]: "any" holds for every request; limit its path, methods or headers unless that is meant`,
				},
			},
			"for nobody": {
				spec: `{matches: []}`, warnings: []string{"spec.matches: there are none, so no request is in the group; describe one"},
			},
			"no paths": {
				spec: `{matches: [{name: a, pathRegex: counter}, {name: b, pathRegex: "/a\\?b=.*"}]}`,
				warnings: []string{
					"spec.matches[0].pathRegex: it holds for no request: a path begins with /; begin the expression with it",
					"spec.matches[1].pathRegex: it holds for no request: the query is no part of the path; leave out the question mark and what follows",
				},
			},
			"no expressions": {
				spec: `{matches: [{name: a, pathRegex: "/a("}, {name: b, headers: {x-a: "(?=b)"}}]}`,
				errors: []string{
					`InvalidRegex spec.matches[0].pathRegex: missing closing ) in "/a("; write RE2, which has no look-ahead and no back-references`,
					`InvalidRegex spec.matches[1].headers[x-a]: invalid or unsupported Perl syntax in "(?="; write RE2, which has no look-ahead and no back-references`,
				},
			},
			"no headers (O82)": {
				spec:   `{matches: [{name: a, headers: oops}]}`,
				errors: []string{"Invalid spec.matches[0].headers: headers must be a map from header name to regular expression, or a list of such maps; write a map of header names to expressions"},
			},
			"no methods": {
				spec:   `{matches: [{name: a, methods: [GET, get]}]}`,
				errors: []string{`Invalid spec.matches[0].methods[1]: "get" is no method; use one of *, GET, HEAD, PUT, POST, DELETE, CONNECT, OPTIONS, TRACE, PATCH`},
			},
			"names twice or never": {
				spec: `{matches: [{name: a, pathRegex: /a}, {name: "", pathRegex: /b}, {name: a, pathRegex: /c}]}`,
				errors: []string{
					"Invalid spec.matches[1].name: it is empty; give the match a name of its own",
					`Invalid spec.matches[2].name: "a" is the name of a match before it; give it another`,
				},
			},
		},
		"TCPRoute": {
			"every port": {spec: `{}`},
			"no ports":   {spec: `{matches: {ports: [80, 0, 70000]}}`, errors: []string{"Invalid spec.matches.ports[1]: 0 is no port; use 1 to 65535", "Invalid spec.matches.ports[2]: 70000 is no port; use 1 to 65535"}},
		},
		"UDPRoute": {
			"any": {
				spec:     `{matches: {ports: [53, -1]}}`,
				errors:   []string{"Invalid spec.matches.ports[1]: -1 is no port; use 1 to 65535"},
				warnings: []string{"Unsupported kind: UDP passes the mesh by, so the route has no effect; use a NetworkPolicy for UDP"},
			},
		},
		"MeshConfig": {
			"defaults": {spec: `{}`},
			"words that are none": {
				spec: `{trustDomain: "spiffe://a", clusterDomain: "a b", mtls: {mode: STRICT}, access: {default: Open}, egress: {mode: "-"}}`,
				errors: []string{
					`Invalid spec.trustDomain: "spiffe://a" is no trust domain; use lower-case letters, digits, dots, dashes and underscores, without spiffe://`,
					`Invalid spec.clusterDomain: "a b" is no DNS name; use what Services of the cluster end in, such as cluster.local`,
					`Invalid spec.mtls.mode: "STRICT" is unknown; use one of Permissive, Strict`,
					`Invalid spec.access.default: "Open" is unknown; use one of AllowUnlessTargeted, Deny, Allow`,
					`Invalid spec.egress.mode: "-" is unknown; use one of Allow, Deny`,
				},
			},
			"everybody": {
				spec:     `{access: {default: Allow}}`,
				warnings: []string{"spec.access.default: no TrafficTarget has an effect, and everybody is admitted; use AllowUnlessTargeted to have them closed by targets"},
			},
		},
		"Canary": {
			"the least":            {spec: `{targetRef: {name: cart}, service: {port: 80}}`},
			"a target with a dot":  {spec: `{targetRef: {name: cart.v1}, service: {name: cart, port: 80}}`},
			"no Service's name":    {spec: `{targetRef: {name: cart.v1}, service: {port: 80}}`, errors: []string{`Invalid spec.service.name: it is the target's name if left out, and no Service can be named "cart.v1"; name the Service`}},
			"names that are long":  {spec: `{targetRef: {name: ` + long + `}, service: {name: ` + long + `, port: 80}}`, errors: []string{`Invalid spec.targetRef.name: with "-primary" it is longer than a name may be; use at most 55 characters`, `Invalid spec.service.name: with "-primary" it is longer than a name may be; use at most 55 characters`}},
			"as long as they may":  {spec: `{targetRef: {name: ` + long[1:] + `}, service: {port: 80}}`},
			"another kind":         {spec: `{targetRef: {kind: DaemonSet, name: a}, service: {port: 80}}`, errors: []string{`Invalid spec.targetRef.kind: "DaemonSet" is unknown; use one of Deployment`}},
			"ports":                {spec: `{targetRef: {name: a}, service: {port: 0, targetPort: 65536, portName: HTTP}}`, errors: []string{"Invalid spec.service.port: 0 is no port; use 1 to 65535", "Invalid spec.service.targetPort: 65536 is no port; use 1 to 65535", `Invalid spec.service.portName: no port can be named "HTTP"; use up to 15 lower-case letters, digits and dashes`}},
			"a deadline too short": {spec: `{targetRef: {name: a}, service: {port: 80}, progressDeadlineSeconds: 9}`, errors: []string{"Invalid spec.progressDeadlineSeconds: 9 s is too short to judge by; use 10 or more"}},
			"an analysis": {
				spec: `{targetRef: {name: a}, service: {port: 80}, analysis: {interval: 999ms, latency: -1s, stepWeights: [10, 10, 101], threshold: -1, minRequests: -1, successRate: 101}}`,
				errors: []string{
					"Invalid spec.analysis.interval: 999ms is not between 1s and 1h; use such as 60s",
					"Invalid spec.analysis.latency: -1s is not above zero; use such as 500ms",
					"InvalidWeight spec.analysis.stepWeights[1]: 10 is not above the step before it; let weights rise from step to step",
					"InvalidWeight spec.analysis.stepWeights[2]: 101 is no percentage of a step; use 1 to 100",
					"Invalid spec.analysis.threshold: -1 is negative; use 1 or more",
					"Invalid spec.analysis.minRequests: -1 is negative; use 1 or more",
					"Invalid spec.analysis.successRate: 101 is no percentage; use 0 to 100",
				},
			},
		},
	} {
		for name, tc := range tests {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				got := judged(t, kind, tc.spec)
				if diff := cmp.Diff(tc.errors, words(got.Errors)); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tc.warnings, words(got.Warnings)); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestMeshConfigOfAnotherName(t *testing.T) {
	t.Parallel()
	got, err := JSON(kindOf(t, "MeshConfig"), []byte(`{"metadata":{"name":"mine"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"IgnoredName metadata.name: only the MeshConfig named default counts; put its fields there"}
	if diff := cmp.Diff(want, words(got.Errors)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestJSONOfWhatIsNotJudged(t *testing.T) {
	t.Parallel()
	split := kindOf(t, "TrafficSplit")
	older := split.GroupKind().WithVersion("v1alpha2")
	for name, tc := range map[string]struct {
		kind schema.GroupVersionKind
		raw  string
	}{
		"another kind":                {schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, `{}`},
		"an older version":            {older, `{}`},
		"no JSON":                     {split, `{`},
		"a weight that is a fraction": {split, `{"spec":{"backends":[{"weight":0.5}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := JSON(tc.kind, []byte(tc.raw)); err == nil {
				t.Error("it was judged")
			}
		})
	}
	if Judged(older) || !Judged(split) {
		t.Error("Judged and JSON don't agree")
	}
}

func TestNewlyBroken(t *testing.T) {
	t.Parallel()
	group := func(matches string) []Problem { return judged(t, "HTTPRouteGroup", `{matches: [`+matches+`]}`).Errors }
	const good, bad, worse = `{name: good, pathRegex: /a}`, `{name: bad, pathRegex: "("}`, `{name: worse, pathRegex: "["}`
	tests := map[string]struct {
		before, now string
		want        []string
	}{
		"what was wrong may stay":        {before: bad, now: bad},
		"and move":                       {before: bad, now: good + "," + bad},
		"and go":                         {before: bad + "," + worse, now: worse},
		"what gets wrong":                {before: good, now: bad, want: []string{"spec.matches[0].pathRegex"}},
		"what is wrong in another way":   {before: bad, now: worse, want: []string{"spec.matches[0].pathRegex"}},
		"the same wrong once more":       {before: bad, now: bad + "," + `{name: b, pathRegex: "("}`, want: []string{"spec.matches[1].pathRegex"}},
		"the same wrong in another part": {before: bad, now: `{name: a, headers: {x: "("}}`, want: []string{"spec.matches[0].headers[x]"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range NewlyBroken(group(tc.before), group(tc.now)) {
				got = append(got, p.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLongValuesAreCutShort(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("ü", 5000)
	for _, p := range judged(t, "TrafficSplit", `{service: `+name+`, backends: [{service: a, weight: 1}]}`).Errors {
		if len(p.Message) > 300 || !strings.Contains(p.Message, "ü\"...") {
			t.Errorf("message of %d bytes: %s", len(p.Message), p.Message)
		}
	}
}

// Whatever is sent is judged, every problem names a field and a remedy, and
// nothing is newly broken by itself.
func FuzzJSON(f *testing.F) {
	kinds := []string{"TrafficSplit", "TrafficTarget", "HTTPRouteGroup", "TCPRoute", "UDPRoute", "MeshConfig", "Canary"}
	f.Add(uint(0), `{"spec":{"service":"A","backends":[{"service":"b.c","weight":-1}],"matches":[{"kind":"x","name":"."}]}}`)
	f.Add(uint(1), `{"metadata":{"namespace":"a"},"spec":{"destination":{"kind":"ServiceAccount","name":"a","namespace":"b"},"sources":[{}],"rules":[{"kind":"TCPRoute","name":":80:"},{"kind":"UDPRoute","matches":[""]}]}}`)
	f.Add(uint(2), `{"spec":{"matches":[{"name":"a","pathRegex":"(?:|a)*\\?","methods":["*","x"],"headers":[{"a":"("}]},{"name":"a"}]}}`)
	f.Add(uint(3), `{"spec":{"matches":{"ports":[0,99999]}}}`)
	f.Add(uint(5), `{"spec":{"trustDomain":"A","mtls":{"mode":"x"}}}`)
	f.Add(uint(6), `{"spec":{"targetRef":{"name":"a.b"},"service":{"port":-1},"analysis":{"interval":"1h1s","stepWeights":[2,1]}}}`)
	f.Fuzz(func(t *testing.T, kind uint, raw string) {
		result, err := JSON(kindOf(t, kinds[kind%uint(len(kinds))]), []byte(raw))
		if err != nil {
			return
		}
		for _, p := range append(result.Errors, result.Warnings...) {
			if p.Field == "" || !strings.Contains(p.Message, "; ") {
				t.Errorf("no field or no remedy: %s", p)
			}
			if _, err := json.Marshal(p); err != nil {
				t.Error(err)
			}
		}
		if broken := NewlyBroken(result.Errors, result.Errors); broken != nil {
			t.Errorf("newly broken by itself: %v", broken)
		}
	})
}
