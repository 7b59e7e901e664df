package validate

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// trustDomain is what SPIFFE takes for one, as the schema has it.
var trustDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)

// MeshConfig judges a configuration. Fields that are empty have their default.
func MeshConfig(config *heddlev1alpha1.MeshConfig) Result {
	var r Result
	if config.Name != heddlev1alpha1.MeshConfigName {
		r.refusef(field.NewPath("metadata", "name"), config.Name, heddlev1alpha1.ReasonIgnoredName,
			"only the MeshConfig named %s counts; put its fields there", heddlev1alpha1.MeshConfigName)
	}
	at, spec := field.NewPath("spec"), config.Spec.WithDefaults()
	if !trustDomain.MatchString(spec.TrustDomain) || len(spec.TrustDomain) > validation.DNS1123SubdomainMaxLength {
		r.refusef(at.Child("trustDomain"), spec.TrustDomain, heddlev1alpha1.ReasonInvalid,
			"%s is no trust domain; use lower-case letters, digits, dots, dashes and underscores, without spiffe://", quoted(spec.TrustDomain))
	}
	if len(isObjectName(spec.ClusterDomain)) > 0 {
		r.refusef(at.Child("clusterDomain"), spec.ClusterDomain, heddlev1alpha1.ReasonInvalid,
			"%s is no DNS name; use what Services of the cluster end in, such as %s", quoted(spec.ClusterDomain), heddlev1alpha1.DefaultClusterDomain)
	}
	oneOf(&r, at.Child("mtls", "mode"), spec.MTLS.Mode, heddlev1alpha1.MTLSPermissive, heddlev1alpha1.MTLSStrict)
	oneOf(&r, at.Child("access", "default"), spec.Access.Default, heddlev1alpha1.AccessAllowUnlessTargeted, heddlev1alpha1.AccessDeny, heddlev1alpha1.AccessAllow)
	oneOf(&r, at.Child("egress", "mode"), spec.Egress.Mode, heddlev1alpha1.EgressAllow, heddlev1alpha1.EgressDeny)
	for i, text := range spec.Egress.ExcludePrefixes {
		if prefix, err := netip.ParsePrefix(text); err != nil || !prefix.Addr().Is4() {
			r.refusef(at.Child("egress", "excludePrefixes").Index(i), text, heddlev1alpha1.ReasonInvalid,
				"%s is no IPv4 prefix; write one as in 192.0.2.0/24", quoted(text))
		}
	}
	for i, port := range spec.Egress.ExcludePorts {
		if port < 1 || port > 65535 || slices.Contains(sidecarPorts, port) {
			r.refusef(at.Child("egress", "excludePorts").Index(i), port, heddlev1alpha1.ReasonInvalid,
				"%d is no port, or the sidecar's own; use one from 1 to 65535", port)
		}
	}
	if spec.Access.Default == heddlev1alpha1.AccessAllow {
		r.warnf(at.Child("access", "default"), spec.Access.Default, unconditional,
			"no TrafficTarget has an effect, and everybody is admitted; use %s to have them closed by targets", heddlev1alpha1.AccessAllowUnlessTargeted)
	}
	return r
}

// sidecarPorts are redirected whatever is excluded.
var sidecarPorts = []int32{heddlev1alpha1.PortOutbound, heddlev1alpha1.PortInbound, heddlev1alpha1.PortReady}

func oneOf[T ~string](r *Result, at *field.Path, value T, known ...T) {
	if slices.Contains(known, value) {
		return
	}
	names := make([]string, 0, len(known))
	for _, k := range known {
		names = append(names, string(k))
	}
	r.refusef(at, value, heddlev1alpha1.ReasonInvalid, "%s is unknown; use one of %s", quoted(string(value)), strings.Join(names, ", "))
}

// longestTarget leaves room for "-primary" in a name.
const longestTarget = validation.DNS1123LabelMaxLength - len("-primary")

// Canary judges a canary. Fields that are empty have their default.
func Canary(canary *heddlev1alpha1.Canary) Result {
	var r Result
	at := field.NewPath("spec")
	target, service := canary.Spec.TargetRef, canary.Spec.Service
	oneOf(&r, at.Child("targetRef", "apiVersion"), cmp.Or(target.APIVersion, "apps/v1"), "apps/v1")
	oneOf(&r, at.Child("targetRef", "kind"), cmp.Or(target.Kind, "Deployment"), "Deployment")
	if r.named(at.Child("targetRef", "name"), target.Name, "Deployment", isObjectName) {
		r.fits(at.Child("targetRef", "name"), target.Name)
		if service.Name == "" && len(isServiceName(target.Name)) > 0 && len(target.Name) <= longestTarget {
			r.refusef(at.Child("service", "name"), nil, heddlev1alpha1.ReasonInvalid, "it is the target's name if left out, and no Service can be named %s; name the Service", quoted(target.Name))
		}
	}
	if service.Name != "" && r.named(at.Child("service", "name"), service.Name, "Service", isServiceName) {
		r.fits(at.Child("service", "name"), service.Name)
	}
	r.port(at.Child("service", "port"), int64(service.Port))
	if service.TargetPort != 0 {
		r.port(at.Child("service", "targetPort"), int64(service.TargetPort))
	}
	if name := cmp.Or(service.PortName, "http"); len(validation.IsValidPortName(name)) > 0 {
		r.refusef(at.Child("service", "portName"), name, heddlev1alpha1.ReasonInvalid, "no port can be named %s; use up to 15 lower-case letters, digits and dashes", quoted(name))
	}
	if seconds := canary.Spec.ProgressDeadlineSeconds; seconds != 0 && seconds < 10 {
		r.refusef(at.Child("progressDeadlineSeconds"), seconds, heddlev1alpha1.ReasonInvalid, "%d s is too short to judge by; use 10 or more", seconds)
	}
	r.analysis(at.Child("analysis"), canary.Spec.Analysis)
	return r
}

// fits refuses a name to which nothing can be added.
func (r *Result) fits(at *field.Path, name string) {
	if len(name) > longestTarget {
		r.refusef(at, name, heddlev1alpha1.ReasonInvalid, "with %q it is longer than a name may be; use at most %d characters", "-primary", longestTarget)
	}
}

func (r *Result) analysis(at *field.Path, a heddlev1alpha1.CanaryAnalysis) {
	if every := cmp.Or(a.Interval.Duration, time.Minute); every < time.Second || every > time.Hour {
		r.refusef(at.Child("interval"), a.Interval.Duration.String(), heddlev1alpha1.ReasonInvalid, "%v is not between 1s and 1h; use such as 60s", every)
	}
	if a.Latency.Duration < 0 {
		r.refusef(at.Child("latency"), a.Latency.Duration.String(), heddlev1alpha1.ReasonInvalid, "%v is not above zero; use such as 500ms", a.Latency.Duration)
	}
	for i, weight := range a.StepWeights {
		at := at.Child("stepWeights").Index(i)
		switch {
		case weight < 1 || weight > 100:
			r.refusef(at, weight, heddlev1alpha1.ReasonInvalidWeight, "%d is no percentage of a step; use 1 to 100", weight)
		case i > 0 && weight <= a.StepWeights[i-1]:
			r.refusef(at, weight, heddlev1alpha1.ReasonInvalidWeight, "%d is not above the step before it; let weights rise from step to step", weight)
		}
	}
	r.count(at.Child("threshold"), a.Threshold)
	r.count(at.Child("minRequests"), a.MinRequests)
	if rate := a.SuccessRate; rate != nil && (*rate < 0 || *rate > 100) {
		r.refusef(at.Child("successRate"), *rate, heddlev1alpha1.ReasonInvalid, "%d is no percentage; use 0 to 100", *rate)
	}
}

func (r *Result) count(at *field.Path, value int32) {
	if value < 0 {
		r.refusef(at, value, heddlev1alpha1.ReasonInvalid, "%d is negative; use 1 or more", value)
	}
}
