package convert

import (
	splitv1alpha1 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha1"
	splitv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha2"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// TrafficSplit learned whole numbers in v1alpha2 and matches in v1alpha3. What
// can't be expressed leaves every request with the root service.
var (
	splitQuantities = &dialect{
		name: "v1alpha1", spec: func() any { return new(splitv1alpha1.TrafficSplitSpec) },
		sound: hasQuantities, up: countedSplit, down: unmatchedSplit,
	}
	splitNumbers = &dialect{
		name: "v1alpha2", spec: func() any { return new(splitv1alpha2.TrafficSplitSpec) },
		up: func(b body) body { return b }, down: unmatchedSplit,
	}
	splitMatches = &dialect{
		name: "v1alpha4", spec: func() any { return new(splitv1alpha4.TrafficSplitSpec) },
	}
	splits = kind{
		resource: "trafficsplits",
		newest:   splitMatches,
		older:    []*dialect{splitQuantities, splitNumbers},
		versions: map[string]version{
			"v1alpha1": {inSpec{}, splitQuantities},
			"v1alpha2": {inSpec{}, splitNumbers},
			"v1alpha3": {inSpec{}, nil},
			"v1alpha4": {inSpec{}, nil},
		},
	}
)

// unmatchedSplit leaves out the matches. A split that has some would act on
// requests that it isn't meant for, so it becomes one that changes nothing.
func unmatchedSplit(b body) body {
	matches, present := b["matches"]
	if !present {
		return b
	}
	if list, ok := matches.([]any); !ok || len(list) > 0 {
		return rootAlone(b)
	}
	return without(b, "matches")
}

// rootAlone is a split of the same service with everything for the root. No
// backends at all would mean the same, but tools leave out an empty list and
// are refused when they write it back.
func rootAlone(b body) body {
	root := b["service"]
	return body{"service": root, "backends": []any{map[string]any{"service": root, "weight": int64(1)}}}
}
