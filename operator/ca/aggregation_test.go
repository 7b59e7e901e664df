package ca

import (
	"context"
	"encoding/base64"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestBundleOfAnAPIService(t *testing.T) {
	t.Parallel()
	const name = "v1alpha1.metrics.smi-spec.io"
	roots := base64.StdEncoding.EncodeToString([]byte("roots"))
	tests := map[string]struct {
		service  string
		before   any
		conflict bool
		want     string
		again    bool
	}{
		"there is none yet":        {"heddle-operator", nil, false, roots, false},
		"there is an old one":      {"heddle-operator", "b2xk", false, roots, false},
		"it is there":              {"heddle-operator", roots, false, roots, false},
		"another service answers":  {"smi-metrics", "dGhlaXJz", false, "dGhlaXJz", false},
		"it was changed meanwhile": {"heddle-operator", "b2xk", true, "b2xk", true},
	}
	for what, tc := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			object := newAPIService()
			object.SetName(name)
			spec := map[string]any{"service": map[string]any{"namespace": "heddle-system", "name": tc.service, "port": int64(443)}}
			if tc.before != nil {
				spec["caBundle"] = tc.before
			}
			object.Object["spec"] = spec
			c := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithObjects(object).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
					if tc.conflict {
						return apierrors.NewConflict(schema.GroupResource{}, name, nil)
					}
					return c.Patch(ctx, o, patch, options...)
				},
			}).Build()
			p := &AggregationPublisher{Client: c, Reader: c, RootsPEM: []byte("roots"), Namespace: "heddle-system", Service: "heddle-operator"}
			result, err := p.reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
			if err != nil || (result.RequeueAfter > 0) != tc.again {
				t.Errorf("%+v, %v", result, err)
			}
			got := newAPIService()
			if err := c.Get(t.Context(), client.ObjectKey{Name: name}, got); err != nil {
				t.Fatal(err)
			}
			if bundle, _, err := unstructured.NestedString(got.Object, "spec", "caBundle"); err != nil || bundle != tc.want {
				t.Errorf("caBundle %q, %v", bundle, err)
			}
			if _, err := p.reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "gone"}}); err != nil {
				t.Errorf("one that is not there: %v", err)
			}
		})
	}
}
