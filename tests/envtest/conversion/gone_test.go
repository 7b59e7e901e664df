package conversion_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Where the operator is gone and the definitions are not, whatever it was
// written in, an object can be read, listed, edited and deleted in the newest
// version, which needs no conversion. An older version is an error and never a
// wrong answer. This runs before the tests in parallel, which need the
// operator.
func TestWithoutTheOperator(t *testing.T) {
	c := running(t)
	written := samples(t, "-gone")
	for _, sample := range written {
		if _, err := c.of(sample.GetKind(), sample.GroupVersionKind().Version).Create(t.Context(), sample, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.takeAway(t)

	for _, sample := range written {
		kind, name := sample.GetKind(), sample.GetName()
		newest := c.of(kind, versionName(versioned[kind].versions))
		o, err := newest.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		o.SetLabels(map[string]string{"gone": "true"})
		if o, err = newest.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("update %s: %v", name, err)
		}
		if _, err := newest.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"patched":"true"}}}`), metav1.PatchOptions{}); err != nil {
			t.Errorf("patch: %v", err)
		}
		applied := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": o.GetAPIVersion(), "kind": kind, "metadata": map[string]any{"name": name}, "spec": o.Object["spec"],
		}}
		if _, err := newest.Apply(t.Context(), name, applied, metav1.ApplyOptions{FieldManager: "someone", Force: true}); err != nil {
			t.Errorf("apply %s: %v", name, err)
		}
	}
	for kind, k := range versioned {
		newest := c.of(kind, versionName(k.versions))
		list, err := newest.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) == 0 {
			t.Fatalf("%s: %d are listed, %v", kind, len(list.Items), err)
		}
		started := time.Now()
		_, err = c.of(kind, "v1alpha1").Get(t.Context(), list.Items[0].GetName(), metav1.GetOptions{})
		if err == nil || !strings.Contains(err.Error(), "conversion webhook") {
			t.Errorf("%s as v1alpha1: %v", kind, err)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("%s as v1alpha1: it took %v to say no", kind, took)
		}
		// As the deletion of a namespace does.
		if err := newest.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "gone"}); err != nil {
			t.Errorf("%s: delete all: %v", kind, err)
		}
		if list, err := newest.List(t.Context(), metav1.ListOptions{LabelSelector: "gone"}); err != nil || len(list.Items) > 0 {
			t.Errorf("%s: %d are left, %v", kind, len(list.Items), err)
		}
	}
}

// takeAway removes the operator's Service, and waits until nothing is converted
// any more. When the test ends it is put back.
func (c *cluster) takeAway(t *testing.T) {
	t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: heddlev1alpha1.SystemNamespace, Name: heddlev1alpha1.OperatorName}}
	if err := c.client.Get(t.Context(), client.ObjectKeyFromObject(service), service); err != nil {
		t.Fatal(err)
	}
	if err := c.client.Delete(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.ResourceVersion, service.UID = "", ""
		ctx := context.WithoutCancel(t.Context())
		if err := c.client.Create(ctx, service); err != nil {
			t.Error(err)
		}
		if err := c.awaitBundle(ctx); err != nil {
			t.Error(err)
		}
	})
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		c.conversion.CloseClientConnections() // a Service is only asked for when one is opened
		return c.converts(ctx, "trafficsplits.split.smi-spec.io") != nil, nil
	})
	if err != nil {
		t.Fatal("the API server still converts")
	}
}
