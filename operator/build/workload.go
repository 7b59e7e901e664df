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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// pods puts in the pods that have not ended, and the workloads of those with
// a sidecar. It returns which pod each address belongs to.
func (b *builder) pods(strict map[string]bool) (owners map[netip.Addr]*corev1.Pod) {
	b.snapshot.Pods = make(map[mesh.PodKey]*mesh.Pod, len(b.objects.Pods))
	b.snapshot.Workloads = map[mesh.WorkloadKey]*mesh.Workload{}
	owners = make(map[netip.Addr]*corev1.Pod, len(b.objects.Pods))
	for _, pod := range b.objects.Pods {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		p := podOf(pod)
		b.snapshot.Pods[p.Key] = p
		for _, ip := range p.IPs {
			if before := owners[ip]; before == nil || claim(pod, before) < 0 {
				owners[ip] = pod
			}
		}
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
	return owners
}

// claim orders pods that say they have the same address by which of them has
// it. For a moment a pod and its successor both may: an address is given again
// when the API server does not yet know that its pod has ended. So it is not
// the one that is being deleted, and else the one that started last. Name
// decides between equals, so that the order in which pods are seen never does.
func claim(x, y *corev1.Pod) int {
	if ending := x.DeletionTimestamp != nil; ending != (y.DeletionTimestamp != nil) {
		if ending {
			return 1
		}
		return -1
	}
	return cmp.Or(started(y).Compare(started(x)),
		cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
}

// started is when a node took the pod on.
func started(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	return pod.CreationTimestamp.Time
}

func podKey(pod *corev1.Pod) mesh.PodKey {
	return mesh.PodKey{Namespace: pod.Namespace, Name: pod.Name}
}

func podOf(pod *corev1.Pod) *mesh.Pod {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	out := &mesh.Pod{
		Key:      podKey(pod),
		UID:      string(pod.UID),
		Identity: mesh.Identity{Namespace: pod.Namespace, ServiceAccount: account},
		Meshed:   hasSidecar(pod),
	}
	if out.Meshed {
		out.DirectPorts = directPorts(pod.Annotations[heddlev1alpha1.AnnotationExcludeInboundPorts])
	}
	if pod.Spec.HostNetwork {
		// The node's address is not this pod's alone.
		return out
	}
	for _, ip := range pod.Status.PodIPs {
		if addr, ok := parseAddr(ip.IP); ok {
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

// directPorts returns the ports that are not redirected to the sidecar: its own
// that anybody may ask, and those of the list. What the list says that can't
// be read stays with the sidecar, where a pod with such a list would not have
// been admitted.
func directPorts(list string) []uint16 {
	out := []uint16{heddlev1alpha1.PortStats, heddlev1alpha1.PortHealth}
	for item := range strings.SplitSeq(list, ",") {
		if port, err := strconv.ParseUint(strings.TrimSpace(item), 10, 16); err == nil && port > 0 {
			out = append(out, uint16(port))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
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
	// Quoting keeps one list of probes from reading like another.
	variant := fmt.Appendf(nil, "%q\n", id.ServiceAccount)
	for _, probe := range probes {
		scheme := ""
		if probe.TLS {
			scheme = " over TLS"
		}
		variant = fmt.Appendf(variant, "%d %q %q%s\n", probe.Port, probe.Method, probe.Path, scheme)
	}
	sum := sha256.Sum256(variant)
	return mesh.WorkloadKey{
		Namespace: pod.Namespace, Kind: kind, Name: name, Variant: hex.EncodeToString(sum[:8]),
	}
}
