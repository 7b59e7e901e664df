package ca

import (
	"context"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestBundleOfAConversion(t *testing.T) {
	t.Parallel()
	const name = "trafficsplits.split.smi-spec.io"
	by := func(service *apiextensionsv1.ServiceReference, bundle string) *apiextensionsv1.CustomResourceConversion {
		return &apiextensionsv1.CustomResourceConversion{
			Strategy: apiextensionsv1.WebhookConverter,
			Webhook: &apiextensionsv1.WebhookConversion{
				ConversionReviewVersions: []string{"v1"},
				ClientConfig:             &apiextensionsv1.WebhookClientConfig{Service: service, CABundle: []byte(bundle)},
			},
		}
	}
	ours := &apiextensionsv1.ServiceReference{Namespace: "heddle-system", Name: "heddle-operator"}
	conflict := apierrors.NewConflict(apiextensionsv1.Resource("customresourcedefinitions"), name, nil)
	tests := map[string]struct {
		conversion  *apiextensionsv1.CustomResourceConversion
		failure     error
		want        string
		wantPatches int
		wantLater   bool
	}{
		"it is written":                     {conversion: by(ours, ""), want: "the roots", wantPatches: 1},
		"an old one is replaced":            {conversion: by(ours, "old roots"), want: "the roots", wantPatches: 1},
		"one that is right is left alone":   {conversion: by(ours, "the roots"), want: "the roots"},
		"another operator's is left alone":  {conversion: by(&apiextensionsv1.ServiceReference{Namespace: "osm-system", Name: "osm"}, "theirs"), want: "theirs"},
		"a conversion by URL is left alone": {conversion: by(nil, "theirs"), want: "theirs"},
		"without a webhook":                 {conversion: &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter}},
		"without a conversion":              {},
		"someone else's write is looked at": {conversion: by(ours, ""), failure: conflict, wantPatches: 1, wantLater: true},
	}
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for what, tc := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			definition := &apiextensionsv1.CustomResourceDefinition{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       apiextensionsv1.CustomResourceDefinitionSpec{Conversion: tc.conversion},
			}
			patches := 0
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(definition).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, options ...client.PatchOption) error {
					patches++
					if tc.failure != nil {
						return tc.failure
					}
					return c.Patch(ctx, o, p, options...)
				},
			}).Build()
			p := &ConversionPublisher{Client: c, Reader: c, RootsPEM: roots, Namespace: "heddle-system", Service: "heddle-operator"}
			result, err := p.reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
			if err != nil {
				t.Fatal(err)
			}
			if patches != tc.wantPatches || result.RequeueAfter > 0 != tc.wantLater {
				t.Errorf("%d patches, want %d; result %+v", patches, tc.wantPatches, result)
			}
			var got apiextensionsv1.CustomResourceDefinition
			if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &got); err != nil {
				t.Fatal(err)
			}
			bundle := ""
			if got.Spec.Conversion != nil && got.Spec.Conversion.Webhook != nil {
				bundle = string(got.Spec.Conversion.Webhook.ClientConfig.CABundle)
			}
			if bundle != tc.want {
				t.Errorf("bundle %q, want %q", bundle, tc.want)
			}
		})
	}
}

func TestAConversionThatIsGoneIsNoError(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	p := &ConversionPublisher{Client: c, Reader: c, RootsPEM: roots}
	if _, err := p.reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: "x"}}); err != nil {
		t.Error(err)
	}
}
