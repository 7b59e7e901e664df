package metricsapi

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// named is an object that there is.
type named struct{ namespace, name string }

// index finds flows and pods by the object of one kind that they belong to, so
// that each is looked at once however many objects are asked about.
type index struct {
	kind     kind
	snapshot *mesh.Snapshot
	// flows are by who answered, calls by who called; pods are those with a
	// sidecar, runs the same by what they run as.
	flows map[named][]*Flow
	calls map[mesh.Identity][]*Flow
	pods  map[named][]*mesh.Pod
	runs  map[mesh.Identity][]*mesh.Pod
	// sources holds what source has found.
	sources map[mesh.Identity]corev1.ObjectReference
}

func newIndex(of kind, snapshot *mesh.Snapshot, flows []*Flow) *index {
	x := &index{
		kind: of, snapshot: snapshot, flows: map[named][]*Flow{}, calls: map[mesh.Identity][]*Flow{},
		pods: map[named][]*mesh.Pod{}, runs: map[mesh.Identity][]*mesh.Pod{}, sources: map[mesh.Identity]corev1.ObjectReference{},
	}
	for _, f := range flows {
		if key, ok := x.keyOf(f.Pod, f.Kind, f.Name); ok {
			x.flows[key] = append(x.flows[key], f)
		}
		x.calls[f.Source] = append(x.calls[f.Source], f)
	}
	for pod := range snapshot.Pods.Values() {
		if !pod.Meshed {
			continue
		}
		if key, ok := x.keyOf(pod.Key, pod.Workload.Kind, pod.Workload.Name); ok {
			x.pods[key] = append(x.pods[key], pod)
		}
		x.runs[pod.Identity] = append(x.runs[pod.Identity], pod)
	}
	return x
}

// keyOf is what a pod of the workload is found by. A pod may be gone already, so
// that only its name and its workload's are known.
func (x *index) keyOf(pod mesh.PodKey, kind, name string) (key named, ok bool) {
	switch x.kind.Kind {
	case kindNamespace:
		return named{name: pod.Namespace}, true
	case kindPod, kindService, kindSplit:
		return named{pod.Namespace, pod.Name}, true
	case kindNode:
		found := x.snapshot.Pods.Get(pod)
		if found == nil || found.Node == "" {
			return named{}, false
		}
		return named{name: found.Node}, true
	case kindReplicaSet:
		// Sidecars name the Deployment rather than its ReplicaSet.
		if len(pod.Name) <= suffixLength || kind != kindReplicaSet && kind != kindDeployment {
			return named{}, false
		}
		return named{pod.Namespace, pod.Name[:len(pod.Name)-suffixLength]}, true
	}
	return named{pod.Namespace, name}, kind == x.kind.Kind
}

const (
	// suffixLength is of what the API server adds to a generated name, which
	// before is at most stemLength long.
	suffixLength = 5
	stemLength   = 58
)

// members returns what the object answered, and its pods.
func (x *index) members(object named) ([]*Flow, []*mesh.Pod) {
	switch x.kind.Kind {
	case kindService:
		return x.behind(mesh.ServiceKey{Namespace: object.namespace, Name: object.name})
	case kindReplicaSet:
		stem := object.name + "-"
		object.name = stem[:min(len(stem), stemLength)]
	}
	return x.flows[object], x.pods[object]
}

// behind returns what the pods that have endpoints of the Service answered, and
// these pods. The slices are the caller's.
func (x *index) behind(key mesh.ServiceKey) (flows []*Flow, pods []*mesh.Pod) {
	service := x.snapshot.Services.Get(key)
	if service == nil {
		return nil, nil
	}
	seen := map[mesh.PodKey]bool{}
	for _, port := range service.Ports {
		set := x.snapshot.Endpoints.Get(port.Key)
		if set == nil {
			continue
		}
		for _, e := range set.Endpoints {
			pod := x.snapshot.PodsByIP.Get(e.Address.Addr())
			if pod == nil || seen[pod.Key] {
				continue
			}
			seen[pod.Key] = true
			key := named{pod.Key.Namespace, pod.Key.Name}
			flows, pods = append(flows, x.flows[key]...), append(pods, x.pods[key]...)
		}
	}
	return flows, pods
}

// callers are what the pods run as, each with whether nothing else runs as it.
func (x *index) callers(pods []*mesh.Pod) map[mesh.Identity]bool {
	count := map[mesh.Identity]int{}
	for _, pod := range pods {
		count[pod.Identity]++
	}
	alone := map[mesh.Identity]bool{}
	for id, n := range count {
		alone[id] = n == len(x.runs[id])
	}
	return alone
}

// source names a caller by what the request is about: its namespace, or the one
// node, pod or workload that runs as it. Where there are several, or none any
// more, it is the service account.
func (x *index) source(id mesh.Identity) corev1.ObjectReference {
	if id == (mesh.Identity{}) {
		return corev1.ObjectReference{Kind: "Group", Name: "system:unauthenticated"}
	}
	out, known := x.sources[id]
	if known {
		return out
	}
	if x.kind.Kind == kindNamespace {
		out = *reference(kindNamespace, named{name: id.Namespace})
	} else {
		out = accountOf(id)
		for i, pod := range x.runs[id] {
			one := x.answerer(pod.Key, pod.Workload.Kind, pod.Workload.Name)
			if i > 0 && one != out {
				out = accountOf(id)
				break
			}
			out = one
		}
	}
	x.sources[id] = out
	return out
}

// destination names who answered.
func (x *index) destination(f FlowKey) corev1.ObjectReference {
	return x.answerer(f.Pod, f.Kind, f.Name)
}

// answerer names a pod by what the request is about.
func (x *index) answerer(pod mesh.PodKey, kind, name string) corev1.ObjectReference {
	switch x.kind.Kind {
	case kindNamespace:
		return *reference(kindNamespace, named{name: pod.Namespace})
	case kindPod:
		return *reference(kindPod, named{pod.Namespace, pod.Name})
	case kindNode:
		if node, ok := x.keyOf(pod, kind, name); ok {
			return *reference(kindNode, node)
		}
	case kindReplicaSet:
		// A name that was cut can't be told.
		set, ok := x.keyOf(pod, kind, name)
		if whole, uncut := strings.CutSuffix(set.name, "-"); ok && uncut && len(set.name) < stemLength {
			return *reference(kindReplicaSet, named{set.namespace, whole})
		}
	}
	return *reference(kind, named{pod.Namespace, name})
}

// accountOf is the ServiceAccount that the identity is of.
func accountOf(id mesh.Identity) corev1.ObjectReference {
	return *reference("ServiceAccount", named{id.Namespace, id.ServiceAccount})
}
