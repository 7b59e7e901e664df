package envtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// kind is one of our kinds as users of kubectl meet it, with an object of it.
type kind struct {
	version                         schema.GroupVersion
	kind, singular, resource, short string
	categories                      []string
	// spec and changed are two valid specs, status is one that Heddle might
	// write; it is empty where there is none.
	spec, changed, status string
	columns               []column
}

// column is one of a table, with what it shows of spec and status. Those with
// a priority appear with `-o wide`.
type column struct {
	name     string
	priority int32
	cell     any
}

const conditions = `conditions: [{type: Accepted, status: "True", reason: Accepted, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"},` +
	` {type: ResolvedRefs, status: "False", reason: RouteNotFound, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]`

var kinds = []kind{{
	version: splitv1alpha4.GroupVersion, kind: "TrafficSplit", singular: "trafficsplit", resource: "trafficsplits", short: "ts",
	categories: []string{"smi", "mesh"},
	spec:       `{service: cart, backends: [{service: cart-v1, weight: 90}, {service: cart-v2, weight: 10}]}`,
	changed:    `{service: cart, backends: [{service: cart-v1, weight: 1}]}`,
	status:     `{observedGeneration: 1, ` + conditions + `}`,
	columns: []column{
		{"Service", 0, "cart"},
		{"Backends", 0, `[{"service":"cart-v1","weight":90},{"service":"cart-v2","weight":10}]`},
		{"Accepted", 0, "True"},
		{"Refs", 1, "False"},
		{"Programmed", 1, nil},
	},
}, {
	version: accessv1alpha3.GroupVersion, kind: "TrafficTarget", singular: "traffictarget", resource: "traffictargets", short: "tt",
	categories: []string{"smi", "mesh"},
	spec: `{destination: {kind: ServiceAccount, name: cart}, sources: [{kind: ServiceAccount, name: web}, {kind: ServiceAccount, name: app}],` +
		` rules: [{kind: TCPRoute, name: port}, {kind: HTTPRouteGroup, name: cart, matches: [read]}]}`,
	changed: `{destination: {kind: ServiceAccount, name: cart}, sources: [], rules: []}`,
	status:  `{observedGeneration: 1, ` + conditions + `}`,
	columns: []column{
		{"Destination", 0, "cart"},
		{"Sources", 1, `[{"kind":"ServiceAccount","name":"web"},{"kind":"ServiceAccount","name":"app"}]`},
		{"Rules", 1, `[{"kind":"TCPRoute","name":"port"},{"kind":"HTTPRouteGroup","matches":["read"],"name":"cart"}]`},
		{"Accepted", 0, "True"},
		{"Refs", 1, "False"},
		{"Programmed", 1, nil},
	},
}, {
	version: specsv1alpha4.GroupVersion, kind: "HTTPRouteGroup", singular: "httproutegroup", resource: "httproutegroups", short: "htr",
	categories: []string{"smi", "mesh"},
	spec:       `{matches: [{name: read, pathRegex: /cart, methods: [GET]}, {name: test, headers: {x-tester: "yes"}}]}`,
	changed:    `{matches: []}`,
	status:     `{observedGeneration: 1, ` + conditions + `}`,
	columns: []column{
		{"Matches", 1, `[{"methods":["GET"],"name":"read","pathRegex":"/cart"},{"headers":{"x-tester":"yes"},"name":"test"}]`},
		{"Accepted", 0, "True"},
	},
}, {
	version: specsv1alpha4.GroupVersion, kind: "TCPRoute", singular: "tcproute", resource: "tcproutes", short: "tr",
	categories: []string{"smi", "mesh"},
	spec:       `{matches: {name: port, ports: [8080, 8443]}}`,
	changed:    `{matches: {ports: []}}`,
	status:     `{observedGeneration: 1, ` + conditions + `}`,
	columns:    []column{{"Ports", 0, "[8080,8443]"}, {"Accepted", 0, "True"}},
}, {
	version: specsv1alpha4.GroupVersion, kind: "UDPRoute", singular: "udproute", resource: "udproutes", short: "ur",
	categories: []string{"smi", "mesh"},
	spec:       `{matches: {ports: [5353]}}`,
	changed:    `{matches: {name: discovery, ports: []}}`,
	status:     `{observedGeneration: 1, ` + conditions + `}`,
	columns:    []column{{"Ports", 0, "[5353]"}, {"Accepted", 0, "True"}},
}, {
	version: heddlev1alpha1.GroupVersion, kind: "MeshConfig", singular: "meshconfig", resource: "meshconfigs", short: "mc",
	categories: []string{"heddle", "mesh"},
	spec:       `{mtls: {mode: Strict}, access: {default: Deny}, egress: {mode: Deny}}`,
	changed:    `{egress: {mode: Allow}}`,
	status:     `{observedGeneration: 1, ` + conditions + `}`,
	columns: []column{
		{"mTLS", 0, "Strict"},
		{"Access", 0, "Deny"},
		{"Egress", 0, "Deny"},
		{"Accepted", 0, "True"},
		{"Trust domain", 1, "cluster.local"},
	},
}, {
	version: heddlev1alpha1.GroupVersion, kind: "Canary", singular: "canary", resource: "canaries", short: "hcan",
	categories: []string{"heddle", "mesh"},
	spec:       `{targetRef: {name: checkout}, service: {port: 80}}`,
	changed:    `{targetRef: {name: checkout}, service: {port: 80}, analysis: {interval: 5s, stepWeights: [1, 100]}}`,
	status:     `{observedGeneration: 1, phase: Progressing, weight: 25, step: 2, failures: 1, message: slow, ` + conditions + `}`,
	columns: []column{
		{"Phase", 0, "Progressing"},
		{"Weight", 0, float64(25)},
		{"Step", 0, float64(2)},
		{"Failed", 0, float64(1)},
		{"Message", 0, "slow"},
		{"Target", 1, "checkout"},
	},
}, {
	version: heddlev1alpha1.GroupVersion, kind: "AlertProvider", singular: "alertprovider", resource: "alertproviders", short: "hap",
	categories: []string{"heddle", "mesh"},
	spec:       `{type: slack, channel: ops, secretRef: {name: slack}}`,
	changed:    `{type: generic, address: "https://alerts.example.com/heddle"}`,
	columns:    []column{{"Type", 0, "slack"}, {"Channel", 0, "ops"}},
}, {
	version: heddlev1alpha1.GroupVersion, kind: "MetricTemplate", singular: "metrictemplate", resource: "metrictemplates", short: "hmt",
	categories: []string{"heddle", "mesh"},
	spec:       `{query: "vector(1)"}`,
	changed:    `{query: "vector(2)", provider: {address: "https://prometheus.example.com"}}`,
	columns:    []column{{"Provider", 0, "prometheus"}, {"Address", 0, nil}},
}}

func kindNamed(name string) kind {
	return kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.kind == name })]
}

func (k kind) clusterScoped() bool { return k.kind == "MeshConfig" }

// parse reads a value written in YAML, numbers as the API server sees them.
func parse(t *testing.T, text string) any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var wrapped unstructured.Unstructured
	if err := wrapped.UnmarshalJSON(fmt.Appendf(nil, `{"kind": "x", "value": %s}`, raw)); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return wrapped.Object["value"]
}

// object returns one with the spec; a MeshConfig has the only name it may have
// and no namespace.
func (k kind) object(t *testing.T, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"spec": parse(t, spec)}}
	o.SetGroupVersionKind(k.version.WithKind(k.kind))
	o.SetName(name)
	if k.clusterScoped() {
		o.SetName(heddlev1alpha1.MeshConfigName)
	} else {
		o.SetNamespace(namespace)
	}
	return o
}

// onlyMeshConfig is held by the test that the MeshConfig belongs to.
var onlyMeshConfig sync.Mutex

// borrow has the test wait for the MeshConfig if the kind is that, since
// there is only one, and leaves none behind.
func (k kind) borrow(t *testing.T, c *cluster) {
	t.Helper()
	if !k.clusterScoped() {
		return
	}
	onlyMeshConfig.Lock()
	t.Cleanup(func() {
		defer onlyMeshConfig.Unlock()
		if _, _, err := c.run(context.WithoutCancel(t.Context()), "delete", "--ignore-not-found", k.resource, heddlev1alpha1.MeshConfigName); err != nil {
			t.Error(err)
		}
	})
}

func TestDiscoveryHasShortNamesAndCategories(t *testing.T) {
	t.Parallel()
	c := installed(t)
	for _, k := range kinds {
		t.Run(k.kind, func(t *testing.T) {
			t.Parallel()
			list, err := c.kube.Discovery().ServerResourcesForGroupVersion(k.version.String())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == k.resource })
			if i < 0 {
				t.Fatalf("%s is not served", k.resource)
			}
			got := list.APIResources[i]
			want := metav1.APIResource{
				Name: k.resource, SingularName: k.singular, Kind: k.kind, Namespaced: !k.clusterScoped(),
				ShortNames: []string{k.short}, Categories: k.categories,
				Verbs:              metav1.Verbs{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"},
				StorageVersionHash: got.StorageVersionHash,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what discovery says (-want +got):\n%s", diff)
			}
			served := slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == k.resource+"/status" })
			if served != (k.status != "") {
				t.Errorf("%s/status is served: %t", k.resource, served)
			}
		})
	}
}

// A table holds what people see of an object. A short name is worth nothing
// where another kind of the cluster has it too.
func TestListing(t *testing.T) {
	t.Parallel()
	c := installed(t)
	for _, k := range kinds {
		t.Run(k.kind, func(t *testing.T) {
			t.Parallel()
			k.borrow(t, c)
			namespace := c.namespace(t, nil)
			o := k.object(t, namespace, "one", k.spec)
			c.create(t, o)
			if k.status != "" {
				o.Object["status"] = parse(t, k.status)
				if err := c.client.Status().Update(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			for _, word := range append([]string{k.short}, k.categories...) {
				names := strings.Fields(c.must(t, "get", word, "-n", namespace, "-o", "name"))
				if want := k.singular + "." + k.version.Group + "/" + o.GetName(); !slices.Contains(names, want) {
					t.Errorf("kubectl get %s lists %q without %s", word, names, want)
				}
			}
			path := "/apis/" + k.version.String() + "/namespaces/" + namespace + "/" + k.resource
			if k.clusterScoped() {
				path = "/apis/" + k.version.String() + "/" + k.resource
			}
			raw, err := c.kube.Discovery().RESTClient().Get().AbsPath(path).
				SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Concat([]column{{"Name", 0, o.GetName()}}, k.columns, []column{{"Age", 0, nil}})
			if diff := cmp.Diff(want, readTable(t, raw), cmp.AllowUnexported(column{})); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// readTable reads the columns of a table with one row; the age is left out.
func readTable(t *testing.T, raw []byte) []column {
	t.Helper()
	var table metav1.Table
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows, want 1:\n%s", len(table.Rows), raw)
	}
	var out []column
	for i, definition := range table.ColumnDefinitions {
		c := column{name: definition.Name, priority: definition.Priority, cell: table.Rows[0].Cells[i]}
		if definition.Name == "Age" {
			c.cell = nil
		}
		out = append(out, c)
	}
	return out
}
