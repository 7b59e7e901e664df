package ca

import (
	"bytes"
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// ConversionPublisher keeps the roots in CustomResourceDefinitions, from which
// the API server trusts the operator to convert their objects.
type ConversionPublisher struct {
	// Client patches; Reader reads without a cache, since a cache would hold
	// every definition of the cluster.
	Client client.Client
	Reader client.Reader

	RootsPEM []byte
	// Namespace and Service are where the operator serves. A definition whose
	// objects something else converts is left alone.
	Namespace, Service string
	// Definitions are the names of those that are kept.
	Definitions []string
}

// SetupWithManager has the publisher follow the definitions, each with a watch
// of its own: a right that is limited to names is enough for that. Every
// replica does this; they write the same bytes.
func (p *ConversionPublisher) SetupWithManager(mgr ctrl.Manager) error {
	return reconcileNamed(mgr, "ca-conversion", func() *apiextensionsv1.CustomResourceDefinition {
		return &apiextensionsv1.CustomResourceDefinition{}
	}, p.Definitions, p.reconcile)
}

// reconcileNamed reconciles the objects of those names on every replica.
func reconcileNamed[T client.Object](mgr ctrl.Manager, controllerName string, object func() T, names []string, reconciler reconcile.Func) error {
	leaderOnly := false
	builder := ctrl.NewControllerManagedBy(mgr).Named(controllerName).
		WithOptions(controller.Options{NeedLeaderElection: &leaderOnly})
	for _, name := range names {
		only := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
		watch, err := cache.New(mgr.GetConfig(), cache.Options{
			HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         map[client.Object]cache.ByObject{object(): only},
		})
		if err != nil {
			return fmt.Errorf("watch %s: %w", name, err)
		}
		if err := mgr.Add(watch); err != nil {
			return fmt.Errorf("watch %s: %w", name, err)
		}
		builder = builder.WatchesRawSource(source.Kind(watch, object(), &handler.TypedEnqueueRequestForObject[T]{}))
	}
	if err := builder.Complete(reconciler); err != nil {
		return fmt.Errorf("controller %s: %w", controllerName, err)
	}
	return nil
}

func (p *ConversionPublisher) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := p.Reader.Get(ctx, request.NamespacedName, &definition); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	config := p.clientConfig(&definition)
	if config == nil || bytes.Equal(config.CABundle, p.RootsPEM) {
		return reconcile.Result{}, nil
	}
	changed := definition.DeepCopy()
	p.clientConfig(changed).CABundle = p.RootsPEM
	// It must not meet a definition that something else converts by now.
	patch := client.MergeFromWithOptions(&definition, client.MergeFromWithOptimisticLock{})
	err := p.Client.Patch(ctx, changed, patch)
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: retryConflict}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("definition %s: %w", request.Name, err)
	}
	return reconcile.Result{}, nil
}

// clientConfig returns how the API server calls the operator to convert, nil
// if it doesn't.
func (p *ConversionPublisher) clientConfig(definition *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.WebhookClientConfig {
	conversion := definition.Spec.Conversion
	if conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
		return nil
	}
	service := conversion.Webhook.ClientConfig.Service
	if service == nil || service.Namespace != p.Namespace || service.Name != p.Service {
		return nil
	}
	return conversion.Webhook.ClientConfig
}
