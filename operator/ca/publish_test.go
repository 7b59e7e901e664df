package ca

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

var roots = []byte("the roots")

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func bundle(namespace, text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: heddlev1alpha1.CAConfigMap},
		Data:       map[string]string{heddlev1alpha1.CAKey: text},
	}
}

func TestRootsOfANamespace(t *testing.T) {
	t.Parallel()
	meshed := map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectEnabled}
	tests := map[string]struct {
		objects []client.Object
		// want is the bundle afterwards, empty where there is none.
		want       string
		wantWrites int
	}{
		"a meshed namespace gets them": {
			objects: []client.Object{namespace("shop", meshed)}, want: "the roots", wantWrites: 1,
		},
		"a namespace that isn't meshed gets none": {
			objects: []client.Object{namespace("shop", nil)},
		},
		"a namespace that opts out gets none": {
			objects: []client.Object{namespace("shop", map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectDisabled})},
		},
		"one that is right is left alone": {
			objects: []client.Object{namespace("shop", meshed), bundle("shop", "the roots")}, want: "the roots",
		},
		"one that was edited is repaired": {
			objects: []client.Object{namespace("shop", meshed), bundle("shop", "mine")}, want: "the roots", wantWrites: 1,
		},
		"one that a single pod needed is kept up to date": {
			objects: []client.Object{namespace("shop", nil), bundle("shop", "the old roots")}, want: "the roots", wantWrites: 1,
		},
		"a namespace that is gone is no error": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			writes := 0
			c := fake.NewClientBuilder().WithObjects(tc.objects...).WithInterceptorFuncs(interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
					writes++
					return c.Create(ctx, o, opts...)
				},
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					writes++
					return c.Patch(ctx, o, p, opts...)
				},
			}).Build()
			p := &Publisher{Client: c, RootsPEM: roots}
			if _, err := p.reconcileNamespace(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "shop"}}); err != nil {
				t.Fatal(err)
			}
			var got corev1.ConfigMap
			err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: heddlev1alpha1.CAConfigMap}, &got)
			if client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Data[heddlev1alpha1.CAKey]); diff != "" {
				t.Errorf("bundle: (-want +got)\n%s", diff)
			}
			if writes != tc.wantWrites {
				t.Errorf("%d writes, want %d", writes, tc.wantWrites)
			}
		})
	}
}

func TestEnsureNamespaceWritesOverAStaleRead(t *testing.T) {
	t.Parallel()
	c := fake.NewClientBuilder().WithObjects(bundle("shop", "mine")).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			o.SetResourceVersion("1") // what a cache that is behind would say
			return err
		},
	}).Build()
	p := &Publisher{Client: c, RootsPEM: roots}
	if err := p.EnsureNamespace(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
}
