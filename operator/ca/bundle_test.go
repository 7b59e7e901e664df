package ca

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func injector(bundles ...string) *admissionv1.MutatingWebhookConfiguration {
	config := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: InjectorName}}
	for i, text := range bundles {
		hook := admissionv1.MutatingWebhook{Name: string(rune('a'+i)) + ".inject.heddle.dev"}
		if text != "" {
			hook.ClientConfig.CABundle = []byte(text)
		}
		config.Webhooks = append(config.Webhooks, hook)
	}
	return config
}

func validator(bundles ...string) *admissionv1.ValidatingWebhookConfiguration {
	config := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ValidatorName}}
	for _, hook := range injector(bundles...).Webhooks {
		config.Webhooks = append(config.Webhooks, admissionv1.ValidatingWebhook{Name: hook.Name, ClientConfig: hook.ClientConfig})
	}
	return config
}

func TestBundleOfTheWebhook(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(admissionv1.Resource("mutatingwebhookconfigurations"), InjectorName, nil)
	tests := map[string]struct {
		bundles     []string
		failure     error
		want        []string
		wantPatches int
		wantLater   bool
	}{
		"it is written into every webhook":        {bundles: []string{"", ""}, want: []string{"the roots", "the roots"}, wantPatches: 1},
		"drift is repaired":                       {bundles: []string{"the roots", "x"}, want: []string{"the roots", "the roots"}, wantPatches: 1},
		"what is right is left alone":             {bundles: []string{"the roots", "the roots"}, want: []string{"the roots", "the roots"}},
		"someone else's write is looked at again": {bundles: []string{""}, failure: conflict, want: []string{""}, wantPatches: 1, wantLater: true},
	}
	for name, tc := range tests {
		for _, config := range []client.Object{injector(tc.bundles...), validator(tc.bundles...)} {
			t.Run(name+"/"+config.GetName(), func(t *testing.T) {
				t.Parallel()
				patches := 0
				c := fake.NewClientBuilder().WithObjects(config).WithInterceptorFuncs(interceptor.Funcs{
					Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
						patches++
						if tc.failure != nil {
							return tc.failure
						}
						return c.Patch(ctx, o, p, opts...)
					},
				}).Build()
				p := &Publisher{Client: c, RootsPEM: roots}
				request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(config)}
				result, err := p.bundles(config)(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				if later := result.RequeueAfter > 0; later != tc.wantLater {
					t.Errorf("looked at again: %v, want %v", later, tc.wantLater)
				}
				if err := c.Get(t.Context(), request.NamespacedName, config); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, c := range clientConfigs(config) {
					got = append(got, string(c.CABundle))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("bundles: (-want +got)\n%s", diff)
				}
				if patches != tc.wantPatches {
					t.Errorf("%d patches, want %d", patches, tc.wantPatches)
				}
			})
		}
	}
}

// A configuration that has moved on since it was read is never patched: the
// patch holds the whole list of webhooks.
func TestBundleIsNotWrittenOverAVersionNotSeen(t *testing.T) {
	t.Parallel()
	c := fake.NewClientBuilder().WithObjects(injector("")).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			o.SetResourceVersion("1")
			return err
		},
	}).Build()
	p := &Publisher{Client: c, RootsPEM: roots}
	result, err := p.bundles(injector())(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Name: InjectorName}})
	if err != nil || result.RequeueAfter == 0 {
		t.Errorf("result %+v, error %v", result, err)
	}
}

func TestBundlesOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	other := validator("theirs")
	other.Name = "other"
	c := fake.NewClientBuilder().WithObjects(other).Build()
	p := &Publisher{Client: c, RootsPEM: roots}
	if _, err := p.bundles(other)(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)}); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
		t.Fatal(err)
	}
	if got := string(clientConfigs(other)[0].CABundle); got != "theirs" {
		t.Errorf("bundle %q", got)
	}
}
