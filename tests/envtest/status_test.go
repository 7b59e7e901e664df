package envtest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Who writes one of spec and status leaves the other alone, so that the
// operator can't change what a user asked for, and a user's apply doesn't wipe
// out what the operator said.
func TestSpecAndStatusAreWrittenApart(t *testing.T) {
	t.Parallel()
	c := installed(t)
	for _, k := range kinds {
		if k.status == "" {
			continue
		}
		t.Run(k.kind, func(t *testing.T) {
			t.Parallel()
			k.borrow(t, c)
			namespace := c.namespace(t, nil)
			created := k.object(t, namespace, "one", k.spec)
			created.Object["status"] = parse(t, k.status)
			c.create(t, created)
			if status, ok := created.Object["status"]; ok {
				t.Errorf("creation took a status: %v", status)
			}
			if created.GetGeneration() != 1 {
				t.Errorf("generation %d, want 1", created.GetGeneration())
			}

			reported := created.DeepCopy()
			reported.Object["status"] = parse(t, k.status)
			reported.Object["spec"] = parse(t, k.changed)
			if err := c.client.Status().Update(t.Context(), reported); err != nil {
				t.Fatal(err)
			}
			c.expect(t, reported, 1, created.Object["spec"], parse(t, k.status))

			edited := reported.DeepCopy()
			edited.Object["spec"] = parse(t, k.changed)
			edited.Object["status"] = map[string]any{"observedGeneration": int64(99)}
			if err := c.client.Update(t.Context(), edited); err != nil {
				t.Fatal(err)
			}
			if cmp.Equal(edited.Object["spec"], created.Object["spec"]) {
				t.Error("the spec did not change")
			}
			c.expect(t, edited, 2, edited.Object["spec"], parse(t, k.status))

			patched := edited.DeepCopy()
			delete(patched.Object, "status")
			if err := c.client.Patch(t.Context(), patched, client.MergeFrom(edited)); err != nil {
				t.Fatal(err)
			}
			c.expect(t, patched, 2, edited.Object["spec"], parse(t, k.status))
		})
	}
}

// expect reads the object again.
func (c *cluster) expect(t *testing.T, o *unstructured.Unstructured, generation int64, spec, status any) {
	t.Helper()
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(o.GroupVersionKind())
	if err := c.client.Get(t.Context(), client.ObjectKeyFromObject(o), got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"generation": generation, "spec": spec, "status": status}
	if diff := cmp.Diff(want, map[string]any{"generation": got.GetGeneration(), "spec": got.Object["spec"], "status": got.Object["status"]}); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func conditionsOf(t *testing.T, o *unstructured.Unstructured) []metav1.Condition {
	t.Helper()
	var typed struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed); err != nil {
		t.Fatal(err)
	}
	return typed.Status.Conditions
}
