package ca

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Publisher keeps the roots where they are needed: in ConfigMap heddle-ca of
// every meshed namespace, from which pods trust the operator, and in the
// webhook configurations, from which the API server does.
type Publisher struct {
	Client   client.Client
	RootsPEM []byte
}

// SetupWithManager has the publisher follow namespaces, its ConfigMaps and
// the webhook configurations. Every replica does this, so that a pod never
// waits for a leader; they write the same bytes.
func (p *Publisher) SetupWithManager(mgr ctrl.Manager) error {
	leaderOnly := false
	options := controller.Options{NeedLeaderElection: &leaderOnly}
	err := ctrl.NewControllerManagedBy(mgr).Named("ca-roots").
		For(&corev1.Namespace{}).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			if o.GetName() != heddlev1alpha1.CAConfigMap {
				return nil
			}
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
		})).
		WithOptions(options).
		Complete(reconcile.Func(p.reconcileNamespace))
	if err != nil {
		return fmt.Errorf("publisher of roots: %w", err)
	}
	for name, configuration := range map[string]client.Object{
		"ca-bundle":            &admissionv1.MutatingWebhookConfiguration{},
		"ca-bundle-validation": &admissionv1.ValidatingWebhookConfiguration{},
	} {
		err := ctrl.NewControllerManagedBy(mgr).Named(name).
			For(configuration).
			WithOptions(options).
			Complete(p.bundles(configuration))
		if err != nil {
			return fmt.Errorf("publisher of a webhook's CA bundle: %w", err)
		}
	}
	return nil
}

func (p *Publisher) reconcileNamespace(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var namespace corev1.Namespace
	if err := p.Client.Get(ctx, client.ObjectKey{Name: request.Name}, &namespace); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if namespace.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if namespace.Labels[heddlev1alpha1.LabelInject] != heddlev1alpha1.InjectEnabled {
		var existing corev1.ConfigMap
		key := client.ObjectKey{Namespace: request.Name, Name: heddlev1alpha1.CAConfigMap}
		if err := p.Client.Get(ctx, key, &existing); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	return reconcile.Result{}, p.EnsureNamespace(ctx, request.Name)
}

// EnsureNamespace puts the roots into the namespace if they are not there. It
// is safe to call at any time and from every replica: all write the same bytes
// and none insists on the version it has read.
func (p *Publisher) EnsureNamespace(ctx context.Context, namespace string) error {
	want := map[string]string{heddlev1alpha1.CAKey: string(p.RootsPEM)}
	var existing corev1.ConfigMap
	err := p.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: heddlev1alpha1.CAConfigMap}, &existing)
	switch {
	case apierrors.IsNotFound(err):
		err = p.Client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: heddlev1alpha1.CAConfigMap,
				Labels: map[string]string{"app.kubernetes.io/managed-by": heddlev1alpha1.OperatorName},
			},
			Data: want,
		})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
	case err == nil && existing.Data[heddlev1alpha1.CAKey] != want[heddlev1alpha1.CAKey]:
		changed := existing.DeepCopy()
		changed.Data = want
		err = p.Client.Patch(ctx, changed, client.MergeFrom(&existing))
	}
	if err != nil {
		return fmt.Errorf("configmap %s/%s: %w", namespace, heddlev1alpha1.CAConfigMap, err)
	}
	return nil
}
