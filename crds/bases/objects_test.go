package bases_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha1 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha1"
	accessv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha2"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha1 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha1"
	specsv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha2"
	specsv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha1 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha1"
	splitv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha2"
	splitv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha3"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		heddlev1alpha1.AddToScheme,
		accessv1alpha1.AddToScheme, accessv1alpha2.AddToScheme, accessv1alpha3.AddToScheme,
		specsv1alpha1.AddToScheme, specsv1alpha2.AddToScheme, specsv1alpha3.AddToScheme, specsv1alpha4.AddToScheme,
		splitv1alpha1.AddToScheme, splitv1alpha2.AddToScheme, splitv1alpha3.AddToScheme, splitv1alpha4.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// Every sample is valid, holds no field that nobody knows, and comes out of the
// Go types as it went in.
func TestSamples(t *testing.T) {
	t.Parallel()
	resources := loadResources(t)
	strict := serializer.NewCodecFactory(newScheme(t), serializer.EnableStrict).UniversalDeserializer()
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	older, err := filepath.Glob("../../config/samples/older/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, older...)
	sampled := map[runtimeschema.GroupVersionKind]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents(string(content)) {
			want := object(t, document)
			gvk := kindOf(t, want)
			if gvk.Kind == "Kustomization" {
				continue
			}
			r, ok := resources[gvk]
			if !ok {
				t.Errorf("%s: no CRD serves %s", file, gvk)
				continue
			}
			sampled[gvk] = true
			for _, problem := range r.problems(want) {
				t.Errorf("%s: %s", file, problem)
			}
			decoded, _, err := strict.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			encoded, err := json.Marshal(decoded)
			if err != nil {
				t.Fatal(err)
			}
			got := object(t, string(encoded))
			for field := range want {
				if diff := cmp.Diff(want[field], got[field]); diff != "" && field != "metadata" {
					t.Errorf("%s: %s after decoding and encoding (-want +got):\n%s", file, field, diff)
				}
			}
			for _, field := range r.unknownFields(want) {
				t.Errorf("%s: unknown field %s", file, field)
			}
		}
	}
	for gvk := range resources {
		if !sampled[gvk] {
			t.Errorf("there is no sample of %s", gvk)
		}
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	const (
		split  = "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}\nspec: "
		target = "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {name: x}\nspec: "
		group  = "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: x}\nspec: "
		tcp    = "apiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: x}\nspec: "
		config = "apiVersion: heddle.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: "

		subjects = "destination: {kind: ServiceAccount, name: a}, sources: [], rules: []"
	)
	tests := map[string]struct {
		yaml string
		// want lists the fields that must be refused; none: it is accepted.
		want []string
	}{
		"a split may name a root and backends that don't exist": {
			yaml: split + `{service: none, backends: [{service: none-v1, weight: 1}]}`,
		},
		"weights need not add up to 100":              {yaml: split + `{service: a, backends: [{service: b, weight: 3}, {service: c, weight: 4000000000}]}`},
		"a weight may be left out":                    {yaml: split + `{service: a, backends: [{service: b}]}`},
		"a weight may be zero":                        {yaml: split + `{service: a, backends: [{service: b, weight: 0}]}`},
		"a split may have no backend yet":             {yaml: split + `{service: a, backends: []}`},
		"a negative weight":                           {yaml: split + `{service: a, backends: [{service: b, weight: -1}]}`, want: []string{"spec.backends[0].weight"}},
		"a weight of one and a half":                  {yaml: split + `{service: a, backends: [{service: b, weight: 1.5}]}`, want: []string{"spec.backends[0].weight"}},
		"a weight in a string":                        {yaml: split + `{service: a, backends: [{service: b, weight: "1"}]}`, want: []string{"spec.backends[0].weight"}},
		"an empty root":                               {yaml: split + `{service: "", backends: []}`, want: []string{"spec.service"}},
		"no root":                                     {yaml: split + `{backends: []}`, want: []string{"spec.service"}},
		"no backends":                                 {yaml: split + `{service: a}`, want: []string{"spec.backends"}},
		"an empty backend":                            {yaml: split + `{service: a, backends: [{service: "", weight: 1}]}`, want: []string{"spec.backends[0].service"}},
		"a split by another kind than HTTPRouteGroup": {yaml: split + `{service: a, backends: [], matches: [{kind: TCPRoute, name: x}]}`, want: []string{"spec.matches[0].kind"}},
		"a split by a group without name":             {yaml: split + `{service: a, backends: [], matches: [{kind: HTTPRouteGroup, name: ""}]}`, want: []string{"spec.matches[0].name"}},
		"a split without spec": {
			yaml: "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}\n", want: []string{"spec"},
		},

		"a target that allows nobody anything":      {yaml: target + `{` + subjects + `}`},
		"a target without sources and rules":        {yaml: target + `{destination: {kind: ServiceAccount, name: a}}`, want: []string{"spec.rules", "spec.sources"}},
		"a destination without name":                {yaml: target + `{destination: {kind: ServiceAccount, name: ""}, sources: [], rules: []}`, want: []string{"spec.destination.name"}},
		"a rule of an unknown kind":                 {yaml: target + `{destination: {kind: ServiceAccount, name: a}, sources: [], rules: [{kind: GRPCRoute, name: x}]}`, want: []string{"spec.rules[0].kind"}},
		"an empty name among a rule's matches":      {yaml: target + `{destination: {kind: ServiceAccount, name: a}, sources: [], rules: [{kind: HTTPRouteGroup, name: x, matches: [""]}]}`, want: []string{"spec.rules[0].matches[0]"}},
		"a UDPRoute is let through and then told":   {yaml: target + `{destination: {kind: ServiceAccount, name: a}, sources: [], rules: [{kind: UDPRoute, name: x}]}`},
		"a group whose match has only a name":       {yaml: group + `{matches: [{name: all}]}`},
		"a match without name":                      {yaml: group + `{matches: [{pathRegex: /}]}`, want: []string{"spec.matches[0].name"}},
		"a method that HTTP doesn't have":           {yaml: group + `{matches: [{name: m, methods: [FETCH]}]}`, want: []string{"spec.matches[0].methods[0]"}},
		"a method in lower case":                    {yaml: group + `{matches: [{name: m, methods: [get]}]}`, want: []string{"spec.matches[0].methods[0]"}},
		"every method by a star":                    {yaml: group + `{matches: [{name: m, methods: ["*"]}]}`},
		"a path expression that is too long":        {yaml: group + `{matches: [{name: m, pathRegex: ` + strings.Repeat("a", 1025) + `}]}`, want: []string{"spec.matches[0].pathRegex"}},
		"headers as a map":                          {yaml: group + `{matches: [{name: m, headers: {a: b}}]}`},
		"headers as a list":                         {yaml: group + `{matches: [{name: m, headers: [{a: b}]}]}`},
		"a TCPRoute for every port":                 {yaml: tcp + `{matches: {ports: []}}`},
		"a TCPRoute without ports":                  {yaml: tcp + `{matches: {}}`, want: []string{"spec.matches.ports"}},
		"port 0":                                    {yaml: tcp + `{matches: {ports: [0]}}`, want: []string{"spec.matches.ports[0]"}},
		"port 65536":                                {yaml: tcp + `{matches: {ports: [65536]}}`, want: []string{"spec.matches.ports[0]"}},
		"a list of matches in a TCPRoute":           {yaml: tcp + `{matches: [{ports: [80]}]}`, want: []string{"spec.matches"}},
		"an empty MeshConfig":                       {yaml: config + `{}`},
		"a mode of mTLS that doesn't exist":         {yaml: config + `{mtls: {mode: strict}}`, want: []string{"spec.mtls.mode"}},
		"an access default that doesn't exist":      {yaml: config + `{access: {default: allow}}`, want: []string{"spec.access.default"}},
		"an egress mode that doesn't exist":         {yaml: config + `{egress: {mode: "yes"}}`, want: []string{"spec.egress.mode"}},
		"a trust domain in capitals":                {yaml: config + `{trustDomain: Example.org}`, want: []string{"spec.trustDomain"}},
		"a trust domain with a path":                {yaml: config + `{trustDomain: example.org/ns}`, want: []string{"spec.trustDomain"}},
		"a trust domain that is a URL":              {yaml: config + `{trustDomain: "spiffe://example.org"}`, want: []string{"spec.trustDomain"}},
		"a trust domain as SPIFFE allows it":        {yaml: config + `{trustDomain: prod_1.example.org}`},
		"a cluster domain that ends in a full stop": {yaml: config + `{clusterDomain: cluster.local.}`, want: []string{"spec.clusterDomain"}},
	}
	resources := loadResources(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := object(t, tc.yaml)
			got := strings.Join(resources[kindOf(t, content)].problems(content), "\n")
			if len(tc.want) == 0 && got != "" {
				t.Errorf("it must be accepted:\n%s", got)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want+" ") && !strings.Contains(got+"\n", want+"\n") {
					t.Errorf("no problem is about %s:\n%s", want, got)
				}
			}
		})
	}
}

// A field that nobody knows is dropped, but the API server can name it: a
// client that asks for strict validation is refused, others are warned.
func TestUnknownFieldsAreNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"at the top": {
			yaml: "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}\nbackends: []\nspec: {service: a, backends: []}\n",
			want: []string{"backends"},
		},
		"in a backend": {
			yaml: "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: x}\nspec: {service: a, backends: [{service: b, wieght: 1}]}\n",
			want: []string{"spec.backends[0].wieght"},
		},
		"an older version's field of a target": {
			yaml: "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {name: x}\nspec: {destination: {kind: ServiceAccount, name: a, port: 80}, sources: [], rules: []}\n",
			want: []string{"spec.destination.port"},
		},
		"in a MeshConfig": {
			yaml: "apiVersion: heddle.dev/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {mtls: {Mode: Strict}}\n",
			want: []string{"spec.mtls.Mode"},
		},
		"headers keep what they have": {
			yaml: "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: x}\nspec: {matches: [{name: m, headers: [{a: b}], header: {a: b}}]}\n",
			want: []string{"spec.matches[0].header"},
		},
	}
	resources := loadResources(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := object(t, tc.yaml)
			got := resources[kindOf(t, content)].unknownFields(content)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("unknown fields (-want +got):\n%s", diff)
			}
		})
	}
}

// What holds without a MeshConfig is what the API server writes into an empty
// one.
func TestMeshConfigDefaults(t *testing.T) {
	t.Parallel()
	spec := loadResources(t)[heddlev1alpha1.GroupVersion.WithKind("MeshConfig")].structural.Properties["spec"]
	defaults := map[string]any{}
	for name, property := range spec.Properties {
		value := property.Default.Object
		if nested, ok := value.(map[string]any); ok {
			filled := map[string]any{}
			for inner, p := range property.Properties {
				filled[inner] = p.Default.Object
			}
			if len(nested) != 0 {
				t.Errorf("default of %s is not empty: %v", name, nested)
			}
			value = filled
		}
		defaults[name] = value
	}
	encoded, err := json.Marshal(defaults)
	if err != nil {
		t.Fatal(err)
	}
	var want heddlev1alpha1.MeshConfigSpec
	if err := json.Unmarshal(encoded, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, heddlev1alpha1.MeshConfigSpec{}.WithDefaults()); diff != "" {
		t.Errorf("defaults in the schema and in Go (-schema +Go):\n%s", diff)
	}
}
