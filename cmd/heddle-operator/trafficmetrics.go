package main

import (
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/operator/metricsapi"
)

// registerTrafficMetrics serves metrics.smi-spec.io beside the webhooks, and has
// the API server trust the operator to.
func registerTrafficMetrics(mgr manager.Manager, kube kubernetes.Interface, authority *ca.Authority, o options, snapshot func() *mesh.Snapshot) error {
	access, err := metricsapi.NewDelegated(kube)
	if err != nil {
		return fmt.Errorf("traffic metrics: %w", err)
	}
	if err := mgr.Add(access); err != nil {
		return fmt.Errorf("traffic metrics: %w", err)
	}
	objects, err := metadata.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("traffic metrics: %w", err)
	}
	flows, err := metricsapi.NewPrometheus(o.prometheusURL)
	if err != nil {
		return fmt.Errorf("traffic metrics: %w", err)
	}
	handler := metricsapi.Handler{
		Objects: metricsapi.Metadata{Client: objects}, Flows: flows, Access: access, Snapshot: snapshot,
		Now: time.Now, Log: ctrl.Log.WithName("traffic-metrics"),
	}
	for _, path := range []string{metricsapi.Path, metricsapi.Path + "/"} {
		mgr.GetWebhookServer().Register(path, handler)
	}
	publisher := &ca.AggregationPublisher{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), RootsPEM: authority.RootsPEM(),
		Namespace: o.namespace, Service: heddlev1alpha1.OperatorName,
	}
	for _, version := range metricsapi.Versions {
		publisher.APIServices = append(publisher.APIServices, version+"."+metricsapi.Group)
	}
	return publisher.SetupWithManager(mgr)
}
