package ca

import (
	"bytes"
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Webhook configurations whose CA bundles are kept.
const (
	InjectorName  = "heddle-injector"
	ValidatorName = "heddle-validator"
)

// retryConflict is how soon a configuration is looked at again when someone
// else has just written it.
const retryConflict = time.Second

// bundles keeps the bundles of the configuration that is of the kind and is
// ours.
func (p *Publisher) bundles(kind client.Object) reconcile.Func {
	return func(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
		if request.Name != InjectorName && request.Name != ValidatorName {
			return reconcile.Result{}, nil
		}
		config := kind.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy is of the same type
		if err := p.Client.Get(ctx, client.ObjectKey{Name: request.Name}, config); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		changed := config.DeepCopyObject().(client.Object) //nolint:forcetypeassert // likewise
		same := true
		for _, c := range clientConfigs(changed) {
			if !bytes.Equal(c.CABundle, p.RootsPEM) {
				c.CABundle = p.RootsPEM
				same = false
			}
		}
		if same {
			return reconcile.Result{}, nil
		}
		// The patch replaces the whole list of webhooks, so it must not be
		// applied to a version that the cache has not seen yet.
		patch := client.MergeFromWithOptions(config, client.MergeFromWithOptimisticLock{})
		err := p.Client.Patch(ctx, changed, patch)
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: retryConflict}, nil
		}
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("webhook configuration %s: %w", request.Name, err)
		}
		return reconcile.Result{}, nil
	}
}

// clientConfigs are where the API server calls, for each of the webhooks.
func clientConfigs(config client.Object) []*admissionv1.WebhookClientConfig {
	var out []*admissionv1.WebhookClientConfig
	switch config := config.(type) {
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range config.Webhooks {
			out = append(out, &config.Webhooks[i].ClientConfig)
		}
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range config.Webhooks {
			out = append(out, &config.Webhooks[i].ClientConfig)
		}
	}
	return out
}
