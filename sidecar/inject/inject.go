package inject

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Namespace is what Inject needs to know of the pod's namespace.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// RefusedError says that a pod can't be meshed as it is and must not run
// without the mesh either. Its text is meant for the pod's author.
type RefusedError struct {
	// Pod is the pod's name, or what is known of it.
	Pod string
	// Problem says what is wrong and what to do about it.
	Problem string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("pod %s can't join the mesh: %s", e.Pod, e.Problem)
}

// Inject returns the pod with a sidecar, and warnings for its author. The
// pod given is never modified; it is returned itself where nothing changes:
// when the mesh isn't wanted, or can't be had (host network, Windows), which a
// warning then says. The error is a *RefusedError where the pod is at fault,
// anything else is Heddle's.
func Inject(pod *corev1.Pod, ns Namespace, cfg Config) (*corev1.Pod, []string, error) {
	name := displayName(pod, ns)
	refuse := func(format string, args ...any) (*corev1.Pod, []string, error) {
		return nil, nil, &RefusedError{Pod: name, Problem: fmt.Sprintf(format, args...)}
	}
	wanted, err := wants(pod, ns)
	if err != nil {
		return refuse("%v", err)
	}
	if !wanted {
		return pod, nil, nil
	}
	if reason := unfit(pod); reason != "" {
		return pod, []string{fmt.Sprintf("pod %s stays outside the mesh: %s", name, reason)}, nil
	}
	for _, rule := range refusals {
		if problem := rule(pod); problem != "" {
			return refuse("%s", problem)
		}
	}
	opts, err := readAnnotations(pod.Annotations)
	if err != nil {
		return refuse("%v", err)
	}
	if err := cfg.Check(); err != nil {
		return nil, nil, fmt.Errorf("inject pod %s: %w", name, err)
	}
	return apply(pod, name, cfg.withDefaults(), opts)
}

// apply does what Inject has decided.
func apply(pod *corev1.Pod, name string, cfg Config, opts options) (*corev1.Pod, []string, error) {
	out := pod.DeepCopy()
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	opts.excludeAlso(cfg.Exclude, out.Annotations)
	ports, warnings := rewriteProbes(out, opts.exclude.InboundPorts)
	for i := range warnings {
		warnings[i] = fmt.Sprintf("pod %s: %s", name, warnings[i])
	}
	settings, err := settingsOf(cfg, opts, out, ports).Encode()
	if err != nil {
		return nil, nil, fmt.Errorf("inject pod %s: %w", name, err)
	}

	delayStop(out, cfg, opts)

	// Containers that an earlier pass put there are kept as they are now:
	// the API server or another webhook may have completed them since.
	init, others := take(out.Spec.InitContainers, heddlev1alpha1.ContainerInit)
	proxy, others := take(others, heddlev1alpha1.ContainerProxy)
	again := init != nil && proxy != nil
	if !again {
		init, proxy = initContainer(cfg), proxyContainer(cfg, opts, pod.Spec.TerminationGracePeriodSeconds)
	}
	setEnv(init, settings)
	out.Spec.InitContainers = append([]corev1.Container{*init, *proxy}, others...)
	for _, v := range volumes() {
		out.Spec.Volumes = withVolume(out.Spec.Volumes, v, again)
	}
	out.Annotations[heddlev1alpha1.AnnotationInjected] = "true"
	return out, warnings, nil
}

// podChoice returns what the pod's own label says.
func podChoice(pod *corev1.Pod) (value string, decided bool) {
	value, decided = pod.Labels[heddlev1alpha1.LabelInject]
	return value, decided
}

// wants tells whether the pod is to be meshed: its own label wins over the
// namespace's. A value that is neither word is an error on a pod, because
// guessing wrong would start it unprotected; on a namespace it is no consent.
func wants(pod *corev1.Pod, ns Namespace) (bool, error) {
	value, decided := podChoice(pod)
	if !decided {
		return ns.Labels[heddlev1alpha1.LabelInject] == heddlev1alpha1.InjectEnabled, nil
	}
	switch value {
	case heddlev1alpha1.InjectEnabled:
		return true, nil
	case heddlev1alpha1.InjectDisabled:
		return false, nil
	}
	return false, fmt.Errorf("label %s is %q; it must be %q or %q", heddlev1alpha1.LabelInject, value,
		heddlev1alpha1.InjectEnabled, heddlev1alpha1.InjectDisabled)
}

// unfit says why a pod can't be meshed by nature, or "".
func unfit(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return "it uses the host's network, where redirection would take the node's own traffic; " +
			"remove hostNetwork, or label the pod " + heddlev1alpha1.LabelInject + "=" + heddlev1alpha1.InjectDisabled + " to silence this"
	}
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return "the sidecar runs on Linux only; label the pod " +
			heddlev1alpha1.LabelInject + "=" + heddlev1alpha1.InjectDisabled + " to silence this"
	}
	return ""
}

// refusals are the rules by which a pod is refused, in the order in which
// they are told. Each returns the problem or "".
var refusals = []func(*corev1.Pod) string{
	refuseProxyUser,
	refuseReservedNames,
	refuseReservedPorts,
}

// refuseProxyUser guards redirection, which exempts the proxy by its user.
func refuseProxyUser(pod *corev1.Pod) string {
	const text = "%s runs as user %d, which is reserved for the sidecar because its traffic isn't redirected; choose another runAsUser"
	if sc := pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == heddlev1alpha1.ProxyUID {
		return fmt.Sprintf(text, "the pod", heddlev1alpha1.ProxyUID)
	}
	for _, c := range appContainers(pod) {
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser == heddlev1alpha1.ProxyUID {
			return fmt.Sprintf(text, "container "+c.Name, heddlev1alpha1.ProxyUID)
		}
	}
	return ""
}

// refuseReservedNames finds containers that only look like ours.
func refuseReservedNames(pod *corev1.Pod) string {
	ours := []string{heddlev1alpha1.ContainerInit, heddlev1alpha1.ContainerProxy}
	for _, c := range pod.Spec.Containers {
		if slices.Contains(ours, c.Name) {
			return fmt.Sprintf("container name %s is reserved for the mesh; rename it", c.Name)
		}
	}
	seen := map[string]int{}
	for _, c := range pod.Spec.InitContainers {
		if slices.Contains(ours, c.Name) {
			seen[c.Name]++
		}
	}
	if n := seen[ours[0]]; n > 1 || n != seen[ours[1]] {
		return fmt.Sprintf("init container names %s and %s are reserved for the mesh; remove or rename them", ours[0], ours[1])
	}
	return ""
}

// refuseReservedPorts finds ports that the sidecar listens on.
func refuseReservedPorts(pod *corev1.Pod) string {
	reserved := []int32{
		heddlev1alpha1.PortOutbound, heddlev1alpha1.PortInbound, heddlev1alpha1.PortStats,
		heddlev1alpha1.PortHealth, heddlev1alpha1.PortReady,
	}
	for _, c := range appContainers(pod) {
		for _, p := range c.Ports {
			if slices.Contains(reserved, p.ContainerPort) && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
				return fmt.Sprintf("container %s listens on port %d, which the sidecar uses; choose another port", c.Name, p.ContainerPort)
			}
		}
	}
	return ""
}

// appContainers returns every container of the pod but ours.
func appContainers(pod *corev1.Pod) []*corev1.Container {
	var out []*corev1.Container
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !isOurs(&list[i]) {
				out = append(out, &list[i])
			}
		}
	}
	return out
}

// displayName is namespace/name, or the generated name's prefix.
func displayName(pod *corev1.Pod, ns Namespace) string {
	name := pod.Name
	if name == "" {
		name = pod.GenerateName + "*"
	}
	return or(ns.Name, or(pod.Namespace, corev1.NamespaceDefault)) + "/" + name
}

// take returns the first container of that name and the rest in order.
func take(list []corev1.Container, name string) (*corev1.Container, []corev1.Container) {
	i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return nil, list
	}
	found := list[i]
	return &found, slices.Concat(list[:i], list[i+1:])
}
