package main

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/heddle-mesh/heddle/canary/engine"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// negative are the conditions that are good when they are false.
var negative = []string{heddlev1alpha1.ConditionConflicted}

// repeated are those that say once more what others do.
var repeated = []string{heddlev1alpha1.ConditionStalled, heddlev1alpha1.ConditionReconciling}

// checkConditions reports the objects of a resource whose conditions say that
// something is wrong.
func checkConditions(resource schema.GroupVersionResource) func(*facts) verdict {
	return func(f *facts) verdict {
		objects := f.conditioned[resource]
		switch {
		case apierrors.IsNotFound(objects.err):
			return unknown(fmt.Errorf("the type %s is not installed", resource.Resource))
		case objects.err != nil:
			return unknown(objects.err)
		}
		var wrong []string
		for i := range objects.value {
			o := &objects.value[i]
			for _, c := range badConditions(o) {
				wrong = append(wrong, fmt.Sprintf("%s/%s: %s", o.GetNamespace(), o.GetName(), c))
			}
		}
		slices.Sort(wrong)
		return findings(warn, wrong)
	}
}

// checkCanaries reports canaries that can't work, and those whose last release
// was rolled back.
func checkCanaries(f *facts) verdict {
	v := checkConditions(canaryResource)(f)
	if v.status == statusUnknown {
		return v
	}
	wrong := v.detail
	for _, line := range readCanaries(&unstructured.UnstructuredList{Items: f.conditioned[canaryResource].value}) {
		if line.phase == string(engine.Failed) {
			wrong = append(wrong, fmt.Sprintf("%s/%s: %s", line.namespace, line.name, line.message))
		}
	}
	slices.Sort(wrong)
	return findings(warn, wrong)
}

// badConditions words the conditions of an object that say something is wrong.
// Conditions of an older generation and unknown ones say nothing yet.
func badConditions(o *unstructured.Unstructured) []string {
	var out []string
	for _, c := range conditions(o) {
		bad := metav1.ConditionFalse
		if slices.Contains(negative, c.Type) {
			bad = metav1.ConditionTrue
		}
		stale := c.ObservedGeneration != 0 && c.ObservedGeneration != o.GetGeneration()
		if c.Status != bad || stale || slices.Contains(repeated, c.Type) {
			continue
		}
		out = append(out, fmt.Sprintf("%s=%s (%s) %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

func conditions(o *unstructured.Unstructured) []metav1.Condition {
	raw, found, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil || !found {
		return nil
	}
	var out []metav1.Condition
	for _, r := range raw {
		m, ok := r.(map[string]any)
		if !ok {
			continue
		}
		var c metav1.Condition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &c); err == nil {
			out = append(out, c)
		}
	}
	return out
}
