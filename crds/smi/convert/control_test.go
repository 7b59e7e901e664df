package convert

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	access1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha1"
	access2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha2"
	access3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha3"
	specs1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha1"
	specs2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha2"
	specs3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha3"
	specs4 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha4"
	split1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha1"
	split2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha2"
	split3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha3"
	split4 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha4"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"pgregory.net/rapid"
)

// sdkTypes are the SMI SDK's own, at the release that tools are built with.
var sdkTypes = map[string]func() any{
	"TrafficSplit v1alpha1":   func() any { return new(split1.TrafficSplit) },
	"TrafficSplit v1alpha2":   func() any { return new(split2.TrafficSplit) },
	"TrafficSplit v1alpha3":   func() any { return new(split3.TrafficSplit) },
	"TrafficSplit v1alpha4":   func() any { return new(split4.TrafficSplit) },
	"TrafficTarget v1alpha1":  func() any { return new(access1.TrafficTarget) },
	"TrafficTarget v1alpha2":  func() any { return new(access2.TrafficTarget) },
	"TrafficTarget v1alpha3":  func() any { return new(access3.TrafficTarget) },
	"HTTPRouteGroup v1alpha1": func() any { return new(specs1.HTTPRouteGroup) },
	"HTTPRouteGroup v1alpha2": func() any { return new(specs2.HTTPRouteGroup) },
	"HTTPRouteGroup v1alpha3": func() any { return new(specs3.HTTPRouteGroup) },
	"HTTPRouteGroup v1alpha4": func() any { return new(specs4.HTTPRouteGroup) },
	"TCPRoute v1alpha1":       func() any { return new(specs1.TCPRoute) },
	"TCPRoute v1alpha2":       func() any { return new(specs2.TCPRoute) },
	"TCPRoute v1alpha3":       func() any { return new(specs3.TCPRoute) },
	"TCPRoute v1alpha4":       func() any { return new(specs4.TCPRoute) },
}

// fieldByField converts as the SDK's main branch does: what the other version's
// type has a field for is copied, the rest is dropped, and nothing is
// remembered. The release has no converters; with it this is what is left.
func fieldByField(object map[string]any, apiVersion string) (map[string]any, error) {
	kind, from, b := bodyOf(object)
	_, to, _ := strings.Cut(apiVersion, "/")
	if from == "v1alpha1" && kind == "TrafficSplit" {
		b = with(b, "backends", unscaled(b["backends"]))
	}
	other := map[string]any{"kind": kind, "apiVersion": apiVersion, "metadata": object["metadata"]}
	families[kind].kind.versions[to].layout.put(other, b)
	typed := sdkTypes[kind+" "+to]()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(other, typed); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	err = kubejson.Unmarshal(encoded, &out)
	return out, err
}

// unscaled takes the digits of quantities and forgets their units, as
// AsDec().UnscaledBig() does.
func unscaled(backends any) []any {
	return keepAs(backends, func(backend any) any {
		weight, ok := fieldOf(backend, "weight").(string)
		if !ok {
			return backend
		}
		q, ok := parseQuantity(weight)
		if !ok {
			return backend
		}
		return with(backend.(map[string]any), "weight", q.AsDec().UnscaledBig().Int64())
	})
}

func keepAs(list any, change func(any) any) []any {
	out := keep(list, func(any) bool { return true })
	for i := range out {
		out[i] = change(out[i])
	}
	return out
}

// The properties are worth something: a converter that copies fields breaks
// them for every kind, and Convert does not on the same objects.
func TestControl(t *testing.T) {
	t.Parallel()
	type count struct{ widened, lost int }
	measure := func(by converter, kind string) count {
		var out count
		drawn := rapid.Custom(func(t *rapid.T) [2]any {
			versions := randomVersions(t, kind, 2)
			return [2]any{randomObject(t, kind, versions[0]), versions[1]}
		})
		for seed := range 500 {
			example := drawn.Example(seed)
			written, to := example[0].(map[string]any), example[1].(string)
			_, from, _ := bodyOf(written)
			converted, err := through(by, written, kind, to)
			if err != nil {
				continue // the SDK can't decode it
			}
			if widened(written, converted) != "" {
				out.widened++
			}
			back, err := through(by, converted, kind, from)
			if err != nil || !cmp.Equal(written["spec"], back["spec"]) {
				out.lost++
			}
		}
		return out
	}
	for _, kind := range []string{"TrafficSplit", "TrafficTarget", "HTTPRouteGroup", "TCPRoute"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			theirs := measure(fieldByField, kind)
			t.Logf("of 500 objects, field by field: %d widened, %d lost something", theirs.widened, theirs.lost)
			if theirs.lost == 0 || theirs.widened == 0 && kind != "TCPRoute" {
				t.Errorf("field by field: %+v; the properties don't see what it does", theirs)
			}
			if ours := measure(Convert, kind); ours != (count{}) {
				t.Errorf("Convert: %+v", ours)
			}
		})
	}
}

// What the SDK's converters are known for, one by one.
func TestKnownFaultsOfTheSDK(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ written, to string }{
		"the destination's port is dropped": {
			targetHead + "v1alpha2\nspec: {destination: {kind: ServiceAccount, name: x, port: 80}, sources: [{kind: ServiceAccount, name: a}], rules: [{kind: HTTPRouteGroup, name: one}]}",
			"access.smi-spec.io/v1alpha3",
		},
		"one and five hundred thousandths are 1 to 500": {
			splitHead + "v1alpha1\nspec: {service: web, backends: [{service: v1, weight: '1'}, {service: v2, weight: 500m}]}",
			"split.smi-spec.io/v1alpha4",
		},
		"a split by matches gets everything": {
			splitHead + "v1alpha4\nspec: {service: web, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: g}]}",
			"split.smi-spec.io/v1alpha2",
		},
		"headers are dropped": {
			"kind: HTTPRouteGroup\napiVersion: specs.smi-spec.io/v1alpha4\nspec: {matches: [{name: m, headers: [{x: '1'}]}]}",
			"specs.smi-spec.io/v1alpha1",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written := named(parse(t, tc.written))
			for by, want := range map[string]struct {
				converter
				widens bool
			}{"SDK": {fieldByField, true}, "Convert": {Convert, false}} {
				converted, err := want.converter(written, tc.to)
				if err != nil {
					t.Fatal(fmt.Errorf("%s: %w", by, err))
				}
				if what := widened(written, converted); (what != "") != want.widens {
					t.Errorf("%s: widens %q, want %t", by, what, want.widens)
				}
			}
		})
	}
}
