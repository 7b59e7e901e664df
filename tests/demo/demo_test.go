package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func TestManifestsDecodeAndEveryKindHasAResource(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"shop.yaml", "split.yaml", "access.yaml", "canary.yaml"} {
		objects, err := readManifests(file, "registry.example.com/heddle")
		if err != nil {
			t.Fatal(err)
		}
		if len(objects) == 0 {
			t.Errorf("%s is empty", file)
		}
		for _, o := range objects {
			if _, err := resourceOf(o); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if o.GetKind() != "Namespace" && o.GetNamespace() != shop {
				t.Errorf("%s: %s %s is in namespace %q", file, o.GetKind(), o.GetName(), o.GetNamespace())
			}
			raw, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), "lab.local") {
				t.Errorf("%s: %s %s still takes its image from the lab", file, o.GetKind(), o.GetName())
			}
		}
	}
}

func TestDeploymentsAreReadStrictly(t *testing.T) {
	t.Parallel()
	objects, err := readManifests("shop.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &d, true); err != nil {
			t.Errorf("%s: %v", o.GetName(), err)
		}
	}
}

func TestCanaryIsReadStrictly(t *testing.T) {
	t.Parallel()
	objects, err := readManifests("canary.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	var c heddlev1alpha1.Canary
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, &c, true); err != nil {
		t.Error(err)
	}
	if !slices.IsSorted(c.Spec.Analysis.StepWeights) || c.Spec.TargetRef.Name != checkout.name {
		t.Errorf("spec = %+v", c.Spec)
	}
}

func TestTallyFailed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tally tally
		want  int
	}{
		"nothing failed when all is 200":             {tally{Total: 3, ByCode: map[string]int{"200": 3}}, 0},
		"counts refusals and errors without answers": {tally{ByCode: map[string]int{"200": 3, "403": 1, "503": 2}, Errors: 4}, 7},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.tally.failed(); got != tc.want {
				t.Errorf("failed = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestTallyUnanswered(t *testing.T) {
	t.Parallel()
	got := tally{
		Total: 12, ByCode: map[string]int{"200": 7, "500": 2, "503": 1}, Errors: 2,
		ByVersion: map[string]int{"v2": 5, "v3": 4},
	}.unanswered()
	if got != 3 {
		t.Errorf("unanswered = %d, want 3: one answered by the mesh, two not at all", got)
	}
}

func TestTallySince(t *testing.T) {
	t.Parallel()
	before := tally{Total: 5, ByCode: map[string]int{"200": 2, "503": 3}, ByVersion: map[string]int{"v1": 2}}
	now := tally{Total: 9, ByCode: map[string]int{"200": 5, "503": 3}, ByVersion: map[string]int{"v1": 3, "v2": 2}, Errors: 1}
	want := tally{Total: 4, ByCode: map[string]int{"200": 3}, ByVersion: map[string]int{"v1": 1, "v2": 2}, Errors: 1}
	if diff := cmp.Diff(want, now.since(before)); diff != "" {
		t.Error(diff)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	got := shares(tally{Total: 1000, ByVersion: map[string]int{"v1": 905, "v2": 95}}, map[string]int{"v1": 90, "v2": 10})
	want := []share{{"v1", 905, 90.5, 90}, {"v2", 95, 9.5, 10}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(share{})); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
}

func TestInPhase(t *testing.T) {
	t.Parallel()
	canary := func(phase, revision string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase, "revision": revision}}}
	}
	tests := map[string]struct {
		object *unstructured.Unstructured
		not    string
		want   bool
	}{
		"holds in the phase":                           {canary("Succeeded", "b"), "a", true},
		"does not hold for the revision before":        {canary("Succeeded", "a"), "a", false},
		"does not hold in another phase":               {canary("Progressing", "b"), "a", false},
		"holds for any revision when none is excluded": {canary("Succeeded", "a"), "", true},
		"does not hold without a status":               {&unstructured.Unstructured{Object: map[string]any{}}, "", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, instead, err := inPhase(tc.not, "Succeeded")(tc.object)
			if err != nil || got != tc.want {
				t.Errorf("holds = %v (%s), error %v, want %v", got, instead, err, tc.want)
			}
		})
	}
}

func TestNarratorIndentsOtherProgramsLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	n := newNarrator(&out)
	w := n.writer()
	for _, s := range []string{"one\ntw", "o\n", "three"} {
		if _, err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	w.flush()
	if want := "        one\n        two\n        three\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestKubeletSummaryIsReadByContainer(t *testing.T) {
	t.Parallel()
	const summary = `{"pods": [
		{"podRef": {"namespace": "shop", "name": "a"}, "containers": [
			{"name": "heddle-proxy", "memory": {"workingSetBytes": 30, "rssBytes": 40}}, {"name": "shop", "memory": {"rssBytes": 9}}]},
		{"podRef": {"namespace": "other", "name": "b"}, "containers": [{"name": "heddle-proxy", "memory": {"rssBytes": 7}}]}]}`
	var s nodeStats
	if err := json.Unmarshal([]byte(summary), &s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{40}, s.of(shop, "heddle-proxy")); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}
