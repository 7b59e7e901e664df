package convert

import (
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
)

// quantityPattern is that of v1alpha1's schema. It has to hold before a text is
// parsed: the time that takes grows with the exponent.
var quantityPattern = regexp.MustCompile(`^[0-9]{1,9}((\.[0-9]{1,6})?[mkMG]?|[nu]|[eE][0-9])$`)

// countedSplit makes whole numbers of quantities: of all weights in the largest
// unit, of one down to a billionth, in which every one is whole. So 900m and 1
// become 900 and 1000, and 1 and 3 stay what they are.
func countedSplit(b body) body {
	backends, _ := b["backends"].([]any)
	weights := make([]*resource.Quantity, len(backends))
	written := false
	for i, backend := range backends {
		switch weight := fieldOf(backend, "weight").(type) {
		case nil:
		case int64:
			weights[i] = resource.NewQuantity(weight, resource.DecimalSI)
		default:
			parsed, ok := parseQuantity(weight)
			if !ok {
				return rootAlone(b)
			}
			weights[i], written = &parsed, true
		}
	}
	if !written {
		return b
	}
	numbers, ok := inOneUnit(weights)
	if !ok {
		return rootAlone(b)
	}
	counted := make([]any, len(backends))
	for i, backend := range backends {
		counted[i] = backend
		if weights[i] != nil {
			counted[i] = with(backend.(map[string]any), "weight", numbers[i])
		}
	}
	return with(b, "backends", counted)
}

func parseQuantity(value any) (resource.Quantity, bool) {
	text, ok := value.(string)
	if !ok || !quantityPattern.MatchString(text) {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(text)
	return q, err == nil
}

func inOneUnit(weights []*resource.Quantity) ([]int64, bool) {
	for _, unit := range []resource.Scale{0, resource.Milli, resource.Micro, resource.Nano} {
		if numbers, ok := allWhole(weights, unit); ok {
			return numbers, true
		}
	}
	return nil, false
}

func allWhole(weights []*resource.Quantity, unit resource.Scale) ([]int64, bool) {
	numbers := make([]int64, len(weights))
	for i, weight := range weights {
		if weight == nil {
			continue
		}
		numbers[i] = weight.ScaledValue(unit)
		if numbers[i] < 0 || resource.NewScaledQuantity(numbers[i], unit).Cmp(*weight) != 0 {
			return nil, false
		}
	}
	return numbers, true
}

// hasQuantities tells whether every weight is a number or a quantity.
func hasQuantities(b body) bool {
	backends, _ := b["backends"].([]any)
	for _, backend := range backends {
		switch weight := fieldOf(backend, "weight").(type) {
		case nil, int64:
		default:
			if _, ok := parseQuantity(weight); !ok {
				return false
			}
		}
	}
	return true
}
