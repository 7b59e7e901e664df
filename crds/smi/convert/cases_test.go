package convert

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The case here is a report from the field, by its number in
// docs/reference/conformance.md.

func TestCaseO81_QuantitiesKeepTheirProportions(t *testing.T) {
	t.Parallel()
	for weights, want := range map[string]string{
		"{service: a, weight: 10m}, {service: b, weight: 100m}, {service: c, weight: 1500m}": "{service: a, weight: 10}, {service: b, weight: 100}, {service: c, weight: 1500}",
		"{service: a, weight: 1}, {service: b, weight: 0m}":                                  "{service: a, weight: 1}, {service: b, weight: 0}",
		"{service: a, weight: 900m}, {service: b, weight: 1}":                                "{service: a, weight: 900}, {service: b, weight: 1000}",
	} {
		written := named(parse(t, splitHead+"v1alpha1\nspec: {service: web, backends: ["+weights+"]}"))
		seen := convert(t, written, "split.smi-spec.io/v1alpha4")
		expected := parse(t, splitHead+"v1alpha4\nspec: {service: web, backends: ["+want+"]}")
		if diff := cmp.Diff(expected["spec"], seen["spec"]); diff != "" {
			t.Errorf("%s as v1alpha4 (-want +got):\n%s", weights, diff)
		}
		if diff := cmp.Diff(written, convert(t, seen, "split.smi-spec.io/v1alpha1")); diff != "" {
			t.Errorf("%s and back (-want +got):\n%s", weights, diff)
		}
	}
}
