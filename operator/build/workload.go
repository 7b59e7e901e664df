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

// podFacts are what is kept of a pod that has not ended.
type podFacts struct {
	pod    *mesh.Pod
	probes []mesh.Probe
	// ending and started decide which of several pods has an address.
	ending  bool
	started time.Time
}

func factsOf(pod *corev1.Pod) *podFacts {
	if pod == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	facts := &podFacts{pod: podOf(pod), ending: pod.DeletionTimestamp != nil, started: started(pod)}
	if facts.pod.Meshed {
		facts.probes = probesOf(pod)
		facts.pod.Workload = workloadOf(pod, facts.pod.Identity, facts.probes)
	}
	return facts
}

// applyPods takes in pods, and who has the addresses that they claim.
func (s *step) applyPods(changes Of[*corev1.Pod]) {
	claimed := set[netip.Addr]{}
	for name, object := range changes {
		key := mesh.PodKey{Namespace: name.Namespace, Name: name.Name}
		before, now := s.Builder.pods[key], factsOf(object)
		if before != nil {
			s.linkPod(before.pod, s.claims.remove, s.members.remove, claimed)
		}
		if now == nil {
			s.pods.Drop(key)
			delete(s.Builder.pods, key)
		} else {
			keep(s.pods, key, now.pod)
			now.pod = s.pods.Get(key)
			s.Builder.pods[key] = now
			s.linkPod(now.pod, s.claims.add, s.members.add, claimed)
		}
		if before == nil || now == nil || before.pod != now.pod {
			s.staleEndpoints.addAll(s.behindPod.of(key))
		}
	}
	for ip := range claimed {
		before, now := s.podsByIP.Get(ip), s.ownerOf(ip)
		if before == now {
			continue
		}
		if now != nil {
			s.podsByIP.Put(ip, now)
		} else {
			s.podsByIP.Drop(ip)
		}
		s.staleEndpoints.addAll(s.behindAddr.of(ip))
	}
}

// linkPod calls the functions with what depends on the pod, and marks it stale.
func (s *step) linkPod(pod *mesh.Pod, claim func(netip.Addr, mesh.PodKey), member func(mesh.WorkloadKey, mesh.PodKey), claimed set[netip.Addr]) {
	for _, ip := range pod.IPs {
		claim(ip, pod.Key)
	}
	claimed.add(pod.IPs...)
	if pod.Meshed {
		member(pod.Workload, pod.Key)
		s.staleWorkloads.add(pod.Workload)
	}
}

// ownerOf returns the pod that has the address, nil if it is none's.
func (s *step) ownerOf(ip netip.Addr) *mesh.Pod {
	var owner *podFacts
	for key := range s.claims.of(ip) {
		if facts := s.Builder.pods[key]; owner == nil || claim(facts, owner) < 0 {
			owner = facts
		}
	}
	if owner == nil {
		return nil
	}
	return owner.pod
}

// makeWorkloads makes what groups of pods with a sidecar have in common. An
// identity that gets its first or loses its last gets or loses a policy.
func (s *step) makeWorkloads() {
	for key := range s.staleWorkloads {
		before := s.workloads.Get(key)
		var now *mesh.Workload
		for member := range s.members.of(key) {
			facts := s.Builder.pods[member] // all are alike
			now = &mesh.Workload{Key: key, Identity: facts.pod.Identity, Strict: s.strictIn(key.Namespace), Probes: facts.probes}
			break
		}
		switch {
		case now != nil:
			keep(s.workloads, key, now)
			if before == nil {
				s.workloadsOf.add(now.Identity, key)
				s.workloadsIn.add(key.Namespace, key)
				s.staleIdentities.add(now.Identity)
			}
		case before != nil:
			s.workloads.Drop(key)
			s.workloadsOf.remove(before.Identity, key)
			s.workloadsIn.remove(key.Namespace, key)
			s.staleIdentities.add(before.Identity)
		}
	}
}

// strictIn is true where the namespace refuses plaintext.
func (s *step) strictIn(namespace string) bool {
	if strict, ok := s.strict[namespace]; ok {
		return strict
	}
	return s.settings.Strict
}

// claim orders pods that say they have the same address by which of them has
// it. For a moment a pod and its successor both may: an address is given again
// when the API server does not yet know that its pod has ended. So it is not
// the one that is being deleted, and else the one that started last. Name
// decides between equals, so that the order in which pods are seen never does.
func claim(x, y *podFacts) int {
	if x.ending != y.ending {
		if x.ending {
			return 1
		}
		return -1
	}
	return cmp.Or(y.started.Compare(x.started), x.pod.Key.Compare(y.pod.Key))
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
		Node:     pod.Spec.NodeName,
		Meshed:   hasSidecar(pod),
	}
	if out.Meshed {
		out.DirectPorts = directPorts(pod.Annotations[heddlev1alpha1.AnnotationExcludeInboundPorts])
		out.Excluded = mesh.Exclusion{
			Ports:    portsIn(pod.Annotations[heddlev1alpha1.AnnotationExcludeOutboundPorts]),
			Prefixes: prefixesIn(pod.Annotations[heddlev1alpha1.AnnotationExcludeOutboundPrefixes]),
		}
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
	out := append(portsIn(list), heddlev1alpha1.PortStats, heddlev1alpha1.PortHealth)
	slices.Sort(out)
	return slices.Compact(out)
}

// portsIn returns what of the list can be read, ordered, each once.
func portsIn(list string) []uint16 {
	var out []uint16
	for item := range strings.SplitSeq(list, ",") {
		if port, err := strconv.ParseUint(strings.TrimSpace(item), 10, 16); err == nil && port > 0 {
			out = append(out, uint16(port))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// prefixesIn returns what of the list can be read; an address is a prefix of
// itself.
func prefixesIn(list string) []netip.Prefix {
	var out []netip.Prefix
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if prefix, err := netip.ParsePrefix(item); err == nil {
			out = append(out, prefix.Masked())
		} else if addr, err := netip.ParseAddr(item); err == nil && addr.Zone() == "" {
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return out
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
