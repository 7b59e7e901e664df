package main

import (
	"errors"
	"flag"
	"os"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

type options struct {
	initImage, proxyImage string
	namespace, podName    string
	prometheusURL         string
	tokenFile             string
	trafficMetrics        bool
	xdsAddress            string
	debugAddress          string
	metricsAddress        string
	healthAddress         string
	profileLocks          bool
	webhookPort           int
}

func defaults() options {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = heddlev1alpha1.SystemNamespace
	}
	return options{
		initImage: os.Getenv("HEDDLE_INIT_IMAGE"), proxyImage: os.Getenv("HEDDLE_PROXY_IMAGE"),
		namespace: namespace, podName: os.Getenv("POD_NAME"),
		trafficMetrics: os.Getenv("HEDDLE_TRAFFIC_METRICS") == "true",
		profileLocks:   os.Getenv("HEDDLE_PROFILE_LOCKS") == "true",
	}
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.initImage, "init-image", o.initImage, "image of heddle-init that pods are injected with (HEDDLE_INIT_IMAGE)")
	flags.StringVar(&o.proxyImage, "proxy-image", o.proxyImage, "Envoy image that pods are injected with (HEDDLE_PROXY_IMAGE)")
	flags.StringVar(&o.namespace, "namespace", o.namespace, "namespace that the operator runs in (POD_NAMESPACE)")
	flags.StringVar(&o.prometheusURL, "prometheus-url", "http://prometheus.heddle-system.svc:9090", "Prometheus that canaries are judged by and TrafficMetrics come from")
	flags.BoolVar(&o.trafficMetrics, "traffic-metrics", o.trafficMetrics, "answer for metrics.smi-spec.io, out of Prometheus (HEDDLE_TRAFFIC_METRICS)")
	flags.StringVar(&o.tokenFile, "token-file", heddlev1alpha1.OperatorTokenFile, "token by which this replica shows others that it is one")
	flags.StringVar(&o.xdsAddress, "xds-address", ":15012", "address of the xDS server")
	flags.StringVar(&o.debugAddress, "debug-address", "127.0.0.1:15014", "address of the list of proxies; keep it on the loopback interface")
	flags.BoolVar(&o.profileLocks, "profile-locks", o.profileLocks, "note who waits for locks, for /debug/pprof/mutex of the debug address (HEDDLE_PROFILE_LOCKS)")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of the operator's own metrics")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "address of /healthz and /readyz")
	flags.IntVar(&o.webhookPort, "webhook-port", 9443, "port of the injection webhook")
}

func (o options) check() error {
	if o.initImage == "" || o.proxyImage == "" {
		return errors.New("--init-image and --proxy-image say what pods are injected with; both are needed")
	}
	return nil
}
