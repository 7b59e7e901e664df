package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An annotation is a text that anyone who may write the object can write, too.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	const rootOnly = "spec: {service: web, backends: [{service: web, weight: 1}]}"
	noted := func(version, annotation, spec string) string {
		return splitHead + version + "\nmetadata: {name: x, annotations: {" + annotation + "}}\n" + spec
	}
	tests := map[string]struct {
		written, version, want string
	}{
		"one that says what the object says is restored": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha4: '{"service":"web","backends":[{"service":"a"}],"matches":[{"kind":"HTTPRouteGroup","name":"g"}]}'`, rootOnly),
			version: "v1alpha4",
			want:    splitHead + "v1alpha4\nspec: {service: web, backends: [{service: a}], matches: [{kind: HTTPRouteGroup, name: g}]}",
		},
		"one that says something else is void": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha4: '{"service":"web","backends":[{"service":"a"}]}'`, rootOnly),
			version: "v1alpha4", want: splitHead + "v1alpha4\n" + rootOnly,
		},
		"one that readers could not decode is void": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha4: '{"service":"web","backends":"a","matches":[{"kind":"HTTPRouteGroup","name":"g"}]}'`, rootOnly),
			version: "v1alpha4", want: splitHead + "v1alpha4\n" + rootOnly,
		},
		"one with a field that nobody knows is void": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha4: '{"service":"web","backends":[],"matches":[{"kind":"HTTPRouteGroup","name":"g"}],"more":1}'`, rootOnly),
			version: "v1alpha4", want: splitHead + "v1alpha4\n" + rootOnly,
		},
		"one that is no JSON is void": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha4: "{"`, rootOnly),
			version: "v1alpha4", want: splitHead + "v1alpha4\n" + rootOnly,
		},
		"one with a quantity that takes for ever to read is void": {
			written: noted("v1alpha4", `heddle.dev/spec-v1alpha1: '{"service":"web","backends":[{"service":"a","weight":"1e-999999999"}]}'`, rootOnly),
			version: "v1alpha1", want: splitHead + "v1alpha1\n" + rootOnly,
		},
		"an edit in the stored version makes it void": {
			written: noted("v1alpha4", `heddle.dev/spec-v1alpha1: '{"service":"web","backends":[{"service":"a","weight":"500m"}]}'`, "spec: {service: web, backends: [{service: a, weight: 600}]}"),
			version: "v1alpha1", want: splitHead + "v1alpha1\nspec: {service: web, backends: [{service: a, weight: 600}]}",
		},
		"an edit in a third version drops it": {
			written: noted("v1alpha2", `heddle.dev/spec-v1alpha1: '{"service":"web","backends":[{"service":"a","weight":"500m"}]}'`, "spec: {service: web, backends: [{service: a, weight: 600}]}"),
			version: "v1alpha4", want: splitHead + "v1alpha4\nspec: {service: web, backends: [{service: a, weight: 600}]}",
		},
		"a reader of a third version is not shown a void one": {
			written: noted("v1alpha4", `heddle.dev/spec-v1alpha1: '{"service":"web","backends":[{"service":"a","weight":"500m"}]}'`, "spec: {service: web, backends: [{service: a, weight: 600}]}"),
			version: "v1alpha2", want: splitHead + "v1alpha2\nspec: {service: web, backends: [{service: a, weight: 600}]}",
		},
		"the user's own about the version it is in is dropped": {
			written: noted("v1alpha1", `heddle.dev/spec-v1alpha1: '{"service":"web","backends":[]}'`, rootOnly),
			version: "v1alpha4", want: splitHead + "v1alpha4\n" + rootOnly,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := convert(t, parse(t, tc.written), "split.smi-spec.io/"+tc.version)
			if diff := cmp.Diff(named(parse(t, tc.want)), got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		object, version, want string
	}{
		"what the operator could not decode": {splitHead + "v1alpha2\nspec: {service: 7}", "split.smi-spec.io/v1alpha4", "spec is none of version v1alpha4"},
		"a spec that is none":                {splitHead + "v1alpha2\nspec: 7", "split.smi-spec.io/v1alpha4", "spec is int64"},
		"metadata that are none":             {splitHead + "v1alpha2\nmetadata: 7", "split.smi-spec.io/v1alpha4", "metadata is int64"},
		"annotations that are none":          {splitHead + "v1alpha2\nmetadata: {annotations: 7}", "split.smi-spec.io/v1alpha4", "metadata.annotations is int64"},
		"a version that doesn't exist":       {splitHead + "v1alpha9", "split.smi-spec.io/v1alpha4", `no version "v1alpha9"`},
		"to a version that doesn't exist":    {splitHead + "v1alpha1", "split.smi-spec.io/v1", `no version "v1"`},
		"a version that is none":             {splitHead + "v1alpha1/x", "split.smi-spec.io/v1alpha4", "apiVersion"},
		"to a version that is none":          {splitHead + "v1alpha1", "a/b/c", "desired version"},
		"another group":                      {splitHead + "v1alpha1", "specs.smi-spec.io/v1alpha1", "can't become"},
		"another kind":                       {strings.Replace(splitHead, "TrafficSplit", "Split", 1) + "v1alpha1", "split.smi-spec.io/v1alpha4", `kind "Split"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Convert(parse(t, tc.object), tc.version)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %v; want an error about %q", got, err, tc.want)
			}
		})
	}
}
