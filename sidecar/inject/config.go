package inject

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/bootstrap"
)

// Config is what is the same for every injected pod. The zero value of a
// field means the default that its comment names; the images have none.
type Config struct {
	// InitImage is the image of heddle-init.
	InitImage string
	// ProxyImage is a stock Envoy image with envoy on its PATH.
	ProxyImage string
	// PullPolicy applies to both images; IfNotPresent by default.
	PullPolicy corev1.PullPolicy
	// XDSAddress is host:port of the operator as pods reach it;
	// heddle-operator.heddle-system.svc:15012 by default.
	XDSAddress string
	// XDSServerName is the DNS name in the operator's certificate;
	// heddle-operator.heddle-system.svc by default.
	XDSServerName string
	// TrustDomain is cluster.local by default.
	TrustDomain string
	// Concurrency is the number of Envoy's worker threads; 2 by default.
	Concurrency int
	// LogLevel is Envoy's; warning by default.
	LogLevel string
	// Exclude is what no pod's sidecar takes, in addition to the pod's own
	// annotations. Only the outbound side is looked at.
	Exclude bootstrap.Exclusions
	// Resources are the proxy's unless the pod's annotations say otherwise;
	// requests of 10m and 64Mi and a memory limit of 512Mi by default.
	Resources *corev1.ResourceRequirements
	// SleepAction says that the API server knows the sleep lifecycle action
	// (Kubernetes 1.30 and newer). The proxy then waits StopDelay before it
	// stops.
	SleepAction bool
	// StopDelay is 5 s by default; it is rounded to whole seconds.
	StopDelay time.Duration
}

// Check reports what makes c unusable. Call it once at start; Inject calls it
// too and refuses every pod if it fails.
func (c Config) Check() error {
	c = c.withDefaults()
	if c.InitImage == "" {
		return errors.New("no image for heddle-init is configured")
	}
	if c.ProxyImage == "" {
		return errors.New("no image for the proxy is configured")
	}
	if _, _, err := bootstrap.SplitAddress(c.XDSAddress); err != nil {
		return fmt.Errorf("xDS address: %w", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	host := heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc"
	c.PullPolicy = or(c.PullPolicy, corev1.PullIfNotPresent)
	c.XDSAddress = or(c.XDSAddress, fmt.Sprintf("%s:%d", host, heddlev1alpha1.PortXDS))
	c.XDSServerName = or(c.XDSServerName, host)
	c.TrustDomain = or(c.TrustDomain, heddlev1alpha1.DefaultTrustDomain)
	c.LogLevel = or(c.LogLevel, "warning")
	if c.Concurrency <= 0 {
		c.Concurrency = 2
	}
	if c.StopDelay <= 0 {
		c.StopDelay = 5 * time.Second
	}
	if c.Resources == nil {
		c.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("10m"),
				corev1.ResourceMemory: resource.MustParse("64Mi"),
			},
			Limits: corev1.ResourceList{
				corev1.ResourceMemory: resource.MustParse("512Mi"),
			},
		}
	}
	return c
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
