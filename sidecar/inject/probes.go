package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// rewriteProbes points the tcpSocket probes of the app's containers at the
// sidecar, which dials the port itself, and returns the ports it must dial,
// ascending. Behind redirection a tcpSocket probe would only find the
// sidecar's own listener and never fail. Ports that bypass the sidecar are
// left alone, and so are probes of other hosts. It changes pod in place.
func rewriteProbes(pod *corev1.Pod, direct []uint16) (ports []uint16, warnings []string) {
	for _, c := range appContainers(pod) {
		probes := []struct {
			kind  string
			probe *corev1.Probe
		}{
			{"startupProbe", c.StartupProbe},
			{"livenessProbe", c.LivenessProbe},
			{"readinessProbe", c.ReadinessProbe},
		}
		for _, p := range probes {
			if p.probe == nil {
				continue
			}
			if port, ok := rewritten(p.probe.HTTPGet); ok {
				ports = append(ports, port) // by an earlier pass
				continue
			}
			if p.probe.TCPSocket == nil || p.probe.TCPSocket.Host != "" {
				continue
			}
			port, ok := resolvePort(c, p.probe.TCPSocket.Port)
			if !ok {
				warnings = append(warnings, fmt.Sprintf("%s of container %s names port %q, which the container doesn't have; it is left as it is",
					p.kind, c.Name, p.probe.TCPSocket.Port.String()))
				continue
			}
			if slices.Contains(direct, port) || port == heddlev1alpha1.PortHealth || port == heddlev1alpha1.PortStats {
				continue
			}
			p.probe.ProbeHandler = httpGet(heddlev1alpha1.TCPProbePath + strconv.Itoa(int(port)))
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), warnings
}

// rewritten recognises a probe that rewriteProbes made.
func rewritten(get *corev1.HTTPGetAction) (uint16, bool) {
	if get == nil || get.Host != "" || get.Port != intstr.FromInt32(heddlev1alpha1.PortHealth) {
		return 0, false
	}
	text, ok := strings.CutPrefix(get.Path, heddlev1alpha1.TCPProbePath)
	if !ok {
		return 0, false
	}
	return parsePort(text)
}

// resolvePort resolves a probe's port as kubelet does: a name is looked up
// among the ports of the container that has the probe.
func resolvePort(c *corev1.Container, port intstr.IntOrString) (uint16, bool) {
	if port.Type == intstr.Int {
		return toPort(port.IntVal)
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return toPort(p.ContainerPort)
		}
	}
	return parsePort(port.StrVal) // kubelet accepts a number in quotes
}

func toPort(n int32) (uint16, bool) {
	if n < 1 || n > 65535 {
		return 0, false
	}
	return uint16(n), true
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return 0, false
	}
	return uint16(n), true
}
