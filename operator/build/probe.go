package build

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

const grpcHealthCheck = "/grpc.health.v1.Health/Check"

// probesOf lists what the kubelet and a metrics scraper ask of the pod without
// a certificate, ordered, each once. The kubelet asks for probes and for
// lifecycle hooks. What it asks of another host is none of these. Nil stands
// for none.
func probesOf(pod *corev1.Pod) []mesh.Probe {
	var out []mesh.Probe
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if c := &containers[i]; c.Name != heddlev1alpha1.ContainerProxy && c.Name != heddlev1alpha1.ContainerInit {
				out = appendProbes(out, c)
			}
		}
	}
	if probe, ok := scrapeOf(pod); ok {
		out = append(out, probe)
	}
	// The sidecar's own health listener is not redirected to the inbound side.
	out = slices.DeleteFunc(out, func(p mesh.Probe) bool { return p.Port == heddlev1alpha1.PortHealth })
	if len(out) == 0 {
		return nil
	}
	slices.SortFunc(out, func(x, y mesh.Probe) int {
		return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Method, y.Method), plainFirst(x, y))
	})
	return slices.Compact(out)
}

func plainFirst(x, y mesh.Probe) int {
	switch {
	case x.TLS == y.TLS:
		return 0
	case y.TLS:
		return -1
	}
	return 1
}

func appendProbes(probes []mesh.Probe, c *corev1.Container) []mesh.Probe {
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe == nil {
			continue
		}
		probes = appendGet(probes, c, probe.HTTPGet)
		if probe.GRPC == nil {
			continue
		}
		if port, ok := portNumber(c, intstr.FromInt32(probe.GRPC.Port)); ok {
			probes = append(probes, mesh.Probe{Port: port, Path: grpcHealthCheck, Method: http.MethodPost})
		}
	}
	if c.Lifecycle == nil {
		return probes
	}
	for _, hook := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if hook != nil {
			probes = appendGet(probes, c, hook.HTTPGet)
		}
	}
	return probes
}

func appendGet(probes []mesh.Probe, c *corev1.Container, get *corev1.HTTPGetAction) []mesh.Probe {
	if get == nil || get.Host != "" {
		return probes
	}
	port, ok := portNumber(c, get.Port)
	if !ok {
		return probes
	}
	path, ok := requestPath(get.Path)
	if !ok {
		return probes
	}
	return append(probes, mesh.Probe{Port: port, Path: path, Method: http.MethodGet, TLS: isHTTPS(string(get.Scheme))})
}

func isHTTPS(scheme string) bool { return strings.EqualFold(scheme, string(corev1.URISchemeHTTPS)) }

// scrapeOf reads the annotations by which Prometheus finds pods.
func scrapeOf(pod *corev1.Pod) (mesh.Probe, bool) {
	annotations := pod.Annotations
	if annotations["prometheus.io/scrape"] != "true" {
		return mesh.Probe{}, false
	}
	port, err := strconv.ParseUint(annotations["prometheus.io/port"], 10, 16)
	if err != nil || port == 0 {
		return mesh.Probe{}, false
	}
	path, ok := requestPath(cmp.Or(annotations["prometheus.io/path"], "/metrics"))
	return mesh.Probe{Port: uint16(port), Path: path, Method: http.MethodGet, TLS: isHTTPS(annotations["prometheus.io/scheme"])}, ok
}

// requestPath returns the path and query that the kubelet sends for the path
// in a probe, which may lack its first slash or have characters that are
// escaped on the wire. It returns false where nothing can be sent.
func requestPath(path string) (string, bool) {
	u, err := url.Parse(path)
	if err != nil {
		u = &url.URL{Path: path}
	}
	if u.Opaque != "" {
		return "", false
	}
	u.Scheme, u.Host = "http", "pod"
	sent, err := url.Parse(u.String())
	if err != nil {
		return "", false
	}
	return sent.RequestURI(), true
}

// portNumber resolves a port as the kubelet does: a name is one of the same
// container's ports, or else a number in quotes.
func portNumber(c *corev1.Container, port intstr.IntOrString) (uint16, bool) {
	number := int(port.IntVal)
	if port.Type == intstr.String {
		named := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal })
		if named >= 0 {
			number = int(c.Ports[named].ContainerPort)
		} else {
			number, _ = strconv.Atoi(port.StrVal) // 0 is no port
		}
	}
	if number < 1 || number > 65535 {
		return 0, false
	}
	return uint16(number), true
}
