package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/credentials"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/heddle-mesh/heddle/canary/controller"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/crds/smi/convert"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/authn"
	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/operator/ingest"
	"github.com/heddle-mesh/heddle/operator/status"
	operatorwebhook "github.com/heddle-mesh/heddle/operator/webhook"
	"github.com/heddle-mesh/heddle/sidecar/inject"
	"github.com/heddle-mesh/heddle/sidecar/programmed"
)

type operator struct {
	manager manager.Manager
}

// newOperator wires everything; nothing runs before the manager is started.
func newOperator(ctx context.Context, config *rest.Config, o options) (*operator, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	trustDomain, err := trustDomainOf(ctx, config, scheme)
	if err != nil {
		return nil, err
	}
	authority, err := ca.LoadOrCreate(ctx, kube, o.namespace, trustDomain, time.Now())
	if err != nil {
		return nil, err
	}
	host := heddlev1alpha1.OperatorName + "." + o.namespace + ".svc"
	serving := ca.NewServingSource(authority, []string{host, host + ".cluster.local"}, time.Now)

	mgr, err := ctrl.NewManager(config, managerOptions(o, scheme, serving))
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	publisher := &ca.Publisher{Client: mgr.GetClient(), RootsPEM: authority.RootsPEM()}
	if err := publisher.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	if err := registerConversion(mgr, authority, o); err != nil {
		return nil, err
	}
	writer := &status.Writer{Client: mgr.GetClient(), Events: mgr.GetEventRecorder(heddlev1alpha1.OperatorName)}
	reporter := newReporter(writer)
	delivery, err := newDelivery(o, authority, trustDomain, serving.TLSConfig(), authn.New(kube, time.Now), reporter.signal)
	if err != nil {
		return nil, err
	}
	reporter.delivered = delivery.server.Delivered
	feed := newFeed(delivery, reporter, authority.RootsPEM())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.RootsPEM())
	reporter.peers = &programmed.Peers{
		Operator: o.podName, Addresses: feed.replicas, TokenFile: o.tokenFile,
		Credentials: credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: host}),
	}
	if err := registerInjector(mgr, kube, publisher, feed, o, host, trustDomain); err != nil {
		return nil, err
	}
	mgr.GetWebhookServer().Register(operatorwebhook.ValidationPath, &admission.Webhook{Handler: operatorwebhook.Validation{Covered: feed.covered}})
	if o.trafficMetrics {
		if err := registerTrafficMetrics(mgr, kube, authority, o, delivery.snapshot.Load); err != nil {
			return nil, err
		}
	}
	for _, runnable := range []manager.Runnable{ingest.New(mgr.GetCache(), feed.publish), reporter, writer, delivery, delivery.debug(o)} {
		if err := mgr.Add(runnable); err != nil {
			return nil, fmt.Errorf("manager: %w", err)
		}
	}
	if err := controller.SetupWithManager(mgr, controller.Options{PrometheusURL: o.prometheusURL}); err != nil {
		return nil, fmt.Errorf("canaries: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return nil, fmt.Errorf("readiness check: %w", err)
	}
	if err := mgr.AddReadyzCheck("xds", func(*http.Request) error { return delivery.ready() }); err != nil {
		return nil, fmt.Errorf("readiness check: %w", err)
	}
	return &operator{manager: mgr}, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, heddlev1alpha1.AddToScheme, splitv1alpha4.AddToScheme,
		accessv1alpha3.AddToScheme, specsv1alpha4.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	return scheme, nil
}

// trustDomainOf reads the trust domain once: identities that are out there
// carry it, so a change needs a restart of operator and pods.
func trustDomainOf(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) (spiffeid.TrustDomain, error) {
	reader, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return spiffeid.TrustDomain{}, fmt.Errorf("client: %w", err)
	}
	var mesh heddlev1alpha1.MeshConfig
	err = reader.Get(ctx, client.ObjectKey{Name: heddlev1alpha1.MeshConfigName}, &mesh)
	switch {
	case meta.IsNoMatchError(err):
		return spiffeid.TrustDomain{}, fmt.Errorf("the CRDs are not installed; apply crds/bases first: %w", err)
	case client.IgnoreNotFound(err) != nil:
		return spiffeid.TrustDomain{}, fmt.Errorf("MeshConfig %s: %w", heddlev1alpha1.MeshConfigName, err)
	}
	name := mesh.Spec.WithDefaults().TrustDomain
	trustDomain, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return spiffeid.TrustDomain{}, fmt.Errorf("MeshConfig %s: spec.trustDomain %q: %w", heddlev1alpha1.MeshConfigName, name, err)
	}
	return trustDomain, nil
}

func managerOptions(o options, scheme *runtime.Scheme, serving *ca.ServingSource) ctrl.Options {
	only := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
	}
	return ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                true,
		LeaderElectionID:              heddlev1alpha1.OperatorName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.ConfigMap{}:                           only(heddlev1alpha1.CAConfigMap),
				&admissionv1.MutatingWebhookConfiguration{}:   only(ca.InjectorName),
				&admissionv1.ValidatingWebhookConfiguration{}: only(ca.ValidatorName),
			},
		},
		WebhookServer: webhook.NewServer(webhook.Options{
			Port: o.webhookPort,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) {
				c.MinVersion = tls.VersionTLS13
				c.GetCertificate = serving.GetCertificate
				// The aggregator shows one; who else does is not asked for it.
				c.ClientAuth = tls.RequestClientCert
			}},
		}),
	}
}

func registerInjector(mgr manager.Manager, kube kubernetes.Interface, publisher *ca.Publisher, feed *feed, o options, host string, trustDomain spiffeid.TrustDomain) error {
	config := inject.Config{
		InitImage: o.initImage, ProxyImage: o.proxyImage,
		XDSAddress: host + ":15012", XDSServerName: host, TrustDomain: trustDomain.Name(),
	}
	info, err := kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("version of the API server: %w", err)
	}
	if v, err := version.ParseGeneric(info.GitVersion); err == nil {
		config.SleepAction = v.AtLeast(version.MustParseGeneric("1.30.0"))
	}
	if err := config.Check(); err != nil {
		return fmt.Errorf("injection: %w", err)
	}
	labels := func(ctx context.Context, name string) (map[string]string, error) {
		var namespace corev1.Namespace
		if err := mgr.GetClient().Get(ctx, client.ObjectKey{Name: name}, &namespace); err != nil {
			return nil, fmt.Errorf("namespace %s: %w", name, err)
		}
		return namespace.Labels, nil
	}
	egress := func(ctx context.Context) (heddlev1alpha1.EgressSpec, error) {
		var config heddlev1alpha1.MeshConfig
		err := mgr.GetClient().Get(ctx, client.ObjectKey{Name: heddlev1alpha1.MeshConfigName}, &config)
		if client.IgnoreNotFound(err) != nil {
			return heddlev1alpha1.EgressSpec{}, fmt.Errorf("MeshConfig %s: %w", heddlev1alpha1.MeshConfigName, err)
		}
		return config.Spec.Egress, nil
	}
	around := inject.Surroundings{Labels: labels, Egress: egress, Covered: feed.covered}
	handler := inject.NewHandler(config, around, admission.NewDecoder(mgr.GetScheme()))
	mgr.GetWebhookServer().Register(inject.Path, &admission.Webhook{Handler: withRoots(publisher, handler)})
	return nil
}

// registerConversion serves conversions and has the API server trust them.
func registerConversion(mgr manager.Manager, authority *ca.Authority, o options) error {
	publisher := &ca.ConversionPublisher{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), RootsPEM: authority.RootsPEM(),
		Namespace: o.namespace, Service: heddlev1alpha1.OperatorName, Definitions: convert.Definitions(),
	}
	if err := publisher.SetupWithManager(mgr); err != nil {
		return err
	}
	mgr.GetWebhookServer().Register(operatorwebhook.ConversionPath, operatorwebhook.Conversion{Log: ctrl.Log.WithName("conversion")})
	return nil
}

// withRoots has the roots in a pod's namespace before the pod needs them.
func withRoots(publisher *ca.Publisher, next admission.Handler) admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		response := next.Handle(ctx, request)
		if response.Allowed && (len(response.Patches) > 0 || len(response.Patch) > 0) && (request.DryRun == nil || !*request.DryRun) {
			if err := publisher.EnsureNamespace(ctx, request.Namespace); err != nil {
				return admission.Errored(http.StatusServiceUnavailable, err)
			}
		}
		return response
	})
}
