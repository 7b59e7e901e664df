package convert

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// parse reads an object as an API server does.
func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var out map[string]any
	if err := kubejson.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// convert is Convert for what has to succeed.
func convert(t testing.TB, object map[string]any, apiVersion string) map[string]any {
	t.Helper()
	out, err := Convert(object, apiVersion)
	if err != nil {
		t.Fatalf("%v\n%v", err, object)
	}
	return out
}

// conversion is an object as it is written, and what readers of other versions
// see of it.
type conversion struct {
	written string
	// seen is by version.
	seen map[string]string
}

// named gives the object the name that every object has.
func named(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	object["metadata"] = with(metadata, "name", "x")
	return object
}

func (c conversion) test(t *testing.T, group string) {
	t.Helper()
	written := named(parse(t, c.written))
	for version, text := range c.seen {
		seen := convert(t, written, group+"/"+version)
		if diff := cmp.Diff(named(parse(t, text)), seen); diff != "" {
			t.Errorf("as %s (-want +got):\n%s", version, diff)
		}
		if diff := cmp.Diff(written, convert(t, seen, written["apiVersion"].(string))); diff != "" {
			t.Errorf("back from %s (-want +got):\n%s", version, diff)
		}
	}
}

const splitHead = "kind: TrafficSplit\napiVersion: split.smi-spec.io/"

func TestTrafficSplit(t *testing.T) {
	t.Parallel()
	tests := map[string]conversion{
		"whole numbers mean the same in every version": {
			written: splitHead + `v1alpha2
metadata: {name: x, annotations: {mine: "1"}}
spec: {service: web, backends: [{service: a, weight: 90}, {service: b, weight: 10}]}`,
			seen: map[string]string{
				"v1alpha1": splitHead + `v1alpha1
metadata: {name: x, annotations: {mine: "1"}}
spec: {service: web, backends: [{service: a, weight: 90}, {service: b, weight: 10}]}`,
				"v1alpha4": splitHead + `v1alpha4
metadata: {name: x, annotations: {mine: "1"}}
spec: {service: web, backends: [{service: a, weight: 90}, {service: b, weight: 10}]}`,
			},
		},
		"a weight that was left out stays out": {
			written: splitHead + "v1alpha2\nspec: {service: web, backends: [{service: a}, {service: b, weight: 1}]}",
			seen: map[string]string{
				"v1alpha1": splitHead + "v1alpha1\nspec: {service: web, backends: [{service: a}, {service: b, weight: 1}]}",
				"v1alpha4": splitHead + "v1alpha4\nspec: {service: web, backends: [{service: a}, {service: b, weight: 1}]}",
			},
		},
		"quantities in thousandths": {
			written: splitHead + `v1alpha1
metadata: {name: x}
spec: {service: web, backends: [{service: a, weight: 10m}, {service: b, weight: 100m}, {service: c, weight: 1500m}]}`,
			seen: map[string]string{
				"v1alpha2": splitHead + `v1alpha2
metadata:
  name: x
  annotations:
    heddle.dev/spec-v1alpha1: '{"backends":[{"service":"a","weight":"10m"},{"service":"b","weight":"100m"},{"service":"c","weight":"1500m"}],"service":"web"}'
spec: {service: web, backends: [{service: a, weight: 10}, {service: b, weight: 100}, {service: c, weight: 1500}]}`,
				"v1alpha4": splitHead + `v1alpha4
metadata:
  name: x
  annotations:
    heddle.dev/spec-v1alpha1: '{"backends":[{"service":"a","weight":"10m"},{"service":"b","weight":"100m"},{"service":"c","weight":"1500m"}],"service":"web"}'
spec: {service: web, backends: [{service: a, weight: 10}, {service: b, weight: 100}, {service: c, weight: 1500}]}`,
			},
		},
		"a split by matches is shown with the root alone": {
			written: splitHead + `v1alpha4
metadata: {name: x}
spec: {service: web, backends: [{service: a, weight: 1}], matches: [{kind: HTTPRouteGroup, name: testers}]}`,
			seen: map[string]string{
				"v1alpha2": splitHead + `v1alpha2
metadata:
  name: x
  annotations:
    heddle.dev/spec-v1alpha4: '{"backends":[{"service":"a","weight":1}],"matches":[{"kind":"HTTPRouteGroup","name":"testers"}],"service":"web"}'
spec: {service: web, backends: [{service: web, weight: 1}]}`,
				"v1alpha3": splitHead + `v1alpha3
metadata: {name: x}
spec: {service: web, backends: [{service: a, weight: 1}], matches: [{kind: HTTPRouteGroup, name: testers}]}`,
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.test(t, "split.smi-spec.io")
		})
	}
}

func TestWeightsOfQuantities(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		weights string
		want    string
	}{
		"thousandths":                {"[10m, 100m, 1500m]", "[10, 100, 1500]"},
		"a whole number and none":    {`[1, "0m"]`, "[1, 0]"},
		"thousandths and a number":   {"[900m, 1]", "[900, 1000]"},
		"text and numbers":           {`["1", 3]`, "[1, 3]"},
		"a fraction":                 {`["0.25", "1"]`, "[250, 1000]"},
		"thousands":                  {`["1k", 1]`, "[1000, 1]"},
		"by exponent":                {`["1e2", 1]`, "[100, 1]"},
		"billionths and billions":    {`["1n", "9G"]`, "[1, 9000000000000000000]"},
		"a number beyond 32 bits":    {"[4000000000, 1]", "[4000000000, 1]"},
		"all numbers, however large": {"[9223372036854775807]", "[9223372036854775807]"},
		"too far apart for numbers":  {`["1n", 99999999999]`, "root"},
		"less than nothing":          {`["500m", -1]`, "root"},
		"not a quantity":             {`["much"]`, "root"},
		"an exponent beyond reason":  {`["1e-999999999"]`, "root"},
		"a number that isn't whole":  {"[0.5]", "root"},
		"another kind of value":      {"[[1]]", "root"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var backends []any
			for _, weight := range parse(t, "w: "+tc.weights)["w"].([]any) {
				backends = append(backends, map[string]any{"service": "b", "weight": weight})
			}
			want := parse(t, "spec: {service: web, backends: [{service: web, weight: 1}]}")
			if tc.want != "root" {
				var numbers []any
				for _, weight := range parse(t, "w: "+tc.want)["w"].([]any) {
					numbers = append(numbers, map[string]any{"service": "b", "weight": weight})
				}
				want["spec"].(map[string]any)["backends"] = numbers
			}
			object := parse(t, splitHead+"v1alpha1")
			object["spec"] = map[string]any{"service": "web", "backends": backends}
			got := convert(t, object, "split.smi-spec.io/v1alpha4")
			if diff := cmp.Diff(want["spec"], got["spec"]); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
		})
	}
}

// A text that the schema lets in can be read, and no other is.
func TestQuantityPatternIsThatOfTheSchema(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../../bases/split.smi-spec.io_trafficsplits.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(schema), "- pattern: "+quantityPattern.String()+"\n") {
		t.Errorf("the schema of v1alpha1 has another pattern than %s", quantityPattern)
	}
}
