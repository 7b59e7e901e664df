package inject

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// AnnotationAppStopDelay is how long the pod's containers are kept from being told to
// stop, a duration of whole seconds; "0s" not at all. Without it that is 3 s, or a
// third of the grace period where this is less.
const AnnotationAppStopDelay = "heddle.dev/app-stop-delay"

const (
	defaultAppStopDelay = 3
	// defaultGrace is what the API server puts where a pod names none.
	defaultGrace = 30
)

func (o *options) readStopDelay(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d%time.Second != 0 {
		return fmt.Errorf("%q is not a duration of whole seconds", value)
	}
	seconds := int64(d / time.Second)
	o.appStopDelay = &seconds
	return nil
}

// appStopDelay is in seconds. It is less than the grace period, of which it is a
// part.
func appStopDelay(o options, spec *corev1.PodSpec) int64 {
	grace := int64(defaultGrace)
	if spec.TerminationGracePeriodSeconds != nil {
		grace = *spec.TerminationGracePeriodSeconds
	}
	if o.appStopDelay != nil {
		return min(*o.appStopDelay, grace-1)
	}
	return min(defaultAppStopDelay, grace/3)
}

// delayStop has the pod's containers go on for a moment when the pod is deleted:
// callers hear of it at the same time as they do, and a request under way would meet
// an app that no longer listens. Containers with a preStop hook of their own are left
// alone, and pods that end by themselves.
func delayStop(pod *corev1.Pod, cfg Config, o options) {
	delay := appStopDelay(o, &pod.Spec)
	if !cfg.SleepAction || delay <= 0 || pod.Spec.RestartPolicy != "" && pod.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		return
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.Lifecycle == nil {
			c.Lifecycle = &corev1.Lifecycle{}
		}
		if c.Lifecycle.PreStop == nil {
			c.Lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: delay}}
		}
	}
}
