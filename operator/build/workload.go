package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

const grpcHealthCheck = "/grpc.health.v1.Health/Check"

func (b *builder) pods(strict map[string]bool) {
	b.snapshot.Pods = make(map[mesh.PodKey]*mesh.Pod, len(b.objects.Pods))
	b.snapshot.Workloads = map[mesh.WorkloadKey]*mesh.Workload{}
	for _, pod := range b.objects.Pods {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		p := podOf(pod)
		b.snapshot.Pods[p.Key] = p
		if !p.Meshed {
			continue
		}
		probes := probesOf(pod)
		p.Workload = workloadOf(pod, p.Identity, probes)
		isStrict, ok := strict[pod.Namespace]
		if !ok {
			isStrict = b.snapshot.Settings.Strict
		}
		b.snapshot.Workloads[p.Workload] = &mesh.Workload{
			Key: p.Workload, Identity: p.Identity, Strict: isStrict, Probes: probes,
		}
	}
	b.snapshot.PodsByIP = byIP(b.snapshot.Pods)
}

func podOf(pod *corev1.Pod) *mesh.Pod {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	out := &mesh.Pod{
		Key:      mesh.PodKey{Namespace: pod.Namespace, Name: pod.Name},
		UID:      string(pod.UID),
		Identity: mesh.Identity{Namespace: pod.Namespace, ServiceAccount: account},
		Meshed:   hasSidecar(pod),
	}
	if pod.Spec.HostNetwork {
		// The node's address is not this pod's alone.
		return out
	}
	for _, ip := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			out.IPs = append(out.IPs, addr)
		}
	}
	return out
}

func hasSidecar(pod *corev1.Pod) bool {
	return !pod.Spec.HostNetwork && slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == heddlev1alpha1.ContainerProxy
	})
}

// workloadOf names the owner that people know and hashes what else the
// inbound side depends on.
func workloadOf(pod *corev1.Pod, id mesh.Identity, probes []mesh.Probe) mesh.WorkloadKey {
	kind, name := "Pod", pod.Name
	if owner := metav1.GetControllerOf(pod); owner != nil {
		kind, name = owner.Kind, owner.Name
		if hash := pod.Labels["pod-template-hash"]; kind == "ReplicaSet" && hash != "" {
			if base, ok := strings.CutSuffix(name, "-"+hash); ok {
				kind, name = "Deployment", base
			}
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %v", id.ServiceAccount, probes))
	return mesh.WorkloadKey{
		Namespace: pod.Namespace, Kind: kind, Name: name, Variant: hex.EncodeToString(sum[:4]),
	}
}

// probesOf lists what the kubelet and a metrics scraper ask without a
// certificate, ordered, each once.
func probesOf(pod *corev1.Pod) []mesh.Probe {
	var out []mesh.Probe
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == heddlev1alpha1.ContainerProxy || c.Name == heddlev1alpha1.ContainerInit {
			continue
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			switch {
			case probe == nil:
			case probe.HTTPGet != nil && probe.HTTPGet.Scheme != corev1.URISchemeHTTPS:
				if port, ok := portNumber(c, probe.HTTPGet.Port); ok {
					out = append(out, mesh.Probe{Port: port, Path: cmp.Or(probe.HTTPGet.Path, "/"), Method: "GET"})
				}
			case probe.GRPC != nil:
				if port, ok := portNumber(c, intstr.FromInt32(probe.GRPC.Port)); ok {
					out = append(out, mesh.Probe{Port: port, Path: grpcHealthCheck, Method: "POST"})
				}
			}
		}
	}
	if pod.Annotations["prometheus.io/scrape"] == "true" {
		port, err := strconv.ParseUint(pod.Annotations["prometheus.io/port"], 10, 16)
		if err == nil && port > 0 {
			path := cmp.Or(pod.Annotations["prometheus.io/path"], "/metrics")
			out = append(out, mesh.Probe{Port: uint16(port), Path: path, Method: "GET"})
		}
	}
	// The sidecar's own health listener is not redirected to the inbound side.
	out = slices.DeleteFunc(out, func(p mesh.Probe) bool { return p.Port == heddlev1alpha1.PortHealth })
	slices.SortFunc(out, func(x, y mesh.Probe) int {
		return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Path, y.Path), cmp.Compare(x.Method, y.Method))
	})
	return slices.Compact(out)
}

func portNumber(c corev1.Container, port intstr.IntOrString) (uint16, bool) {
	if port.Type == intstr.Int {
		return uint16(port.IntVal), port.IntVal > 0 && port.IntVal <= 65535
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return uint16(p.ContainerPort), p.ContainerPort > 0 && p.ContainerPort <= 65535
		}
	}
	return 0, false
}
