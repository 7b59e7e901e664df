package ca

import (
	"context"
	"encoding/base64"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// AggregationPublisher keeps the roots in APIServices, from which the API server
// trusts the operator to answer for an API group.
type AggregationPublisher struct {
	// Client patches; Reader reads without a cache.
	Client client.Client
	Reader client.Reader

	RootsPEM []byte
	// Namespace and Service are where the operator serves. An APIService that
	// something else answers for is left alone.
	Namespace, Service string
	// APIServices are the names of those that are kept.
	APIServices []string
}

// SetupWithManager has the publisher follow the APIServices, each with a watch of
// its own.
func (p *AggregationPublisher) SetupWithManager(mgr ctrl.Manager) error {
	return reconcileNamed(mgr, "ca-aggregation", newAPIService, p.APIServices, p.reconcile)
}

func newAPIService() *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"})
	return object
}

func (p *AggregationPublisher) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	service := newAPIService()
	if err := p.Reader.Get(ctx, request.NamespacedName, service); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	field := func(path ...string) string {
		text, _, _ := unstructured.NestedString(service.Object, append([]string{"spec"}, path...)...) // what is no text is another
		return text
	}
	want := base64.StdEncoding.EncodeToString(p.RootsPEM)
	if field("service", "namespace") != p.Namespace || field("service", "name") != p.Service || field("caBundle") == want {
		return reconcile.Result{}, nil
	}
	changed := service.DeepCopy()
	if err := unstructured.SetNestedField(changed.Object, want, "spec", "caBundle"); err != nil {
		return reconcile.Result{}, fmt.Errorf("APIService %s: spec.caBundle: %w", request.Name, err)
	}
	err := p.Client.Patch(ctx, changed, client.MergeFromWithOptions(service, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: retryConflict}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("APIService %s: %w", request.Name, err)
	}
	return reconcile.Result{}, nil
}
