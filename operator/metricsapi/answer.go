package metricsapi

import (
	"cmp"
	"math"
	"slices"
	"time"

	metricsv1alpha1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha1"
	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// named is an object that there is.
type named struct{ namespace, name string }

// answers makes TrafficMetrics of flows, for one request.
type answers struct {
	request  request
	snapshot *mesh.Snapshot
	flows    []*Flow
	now      time.Time
}

// of returns the metrics of the object, or those between it and others; a split
// has some for each backend.
func (a answers) of(object named) []*metricsv1alpha2.TrafficMetrics {
	if a.request.Kind.Kind != kindSplit {
		return a.about(object, a.membership(object), nil)
	}
	var out []*metricsv1alpha2.TrafficMetrics
	for _, backend := range backends(a.snapshot, object) {
		pods := a.podsBehind(mesh.ServiceKey{Namespace: object.namespace, Name: backend.Name})
		// Whoever has no identity, probes among them, knows no splits.
		member := func(f FlowKey) bool { return pods[f.Pod] && f.Source != (mesh.Identity{}) }
		out = append(out, a.about(object, member, &backend)...)
	}
	return out
}

// about returns the metrics of what the flows with the member as destination are,
// or one for each that it calls or is called by.
func (a answers) about(object named, member func(FlowKey) bool, backend *metricsv1alpha2.Backend) []*metricsv1alpha2.TrafficMetrics {
	self := a.reference(a.request.Kind.Kind, object)
	if !a.request.Edges {
		var total sum
		for _, f := range a.flows {
			if member(f.FlowKey) {
				total.add(f)
			}
		}
		edge := &metricsv1alpha2.Edge{Direction: metricsv1alpha2.From, Side: metricsv1alpha2.Server}
		return []*metricsv1alpha2.TrafficMetrics{a.metrics(self, edge, backend, total)}
	}
	type key struct {
		direction metricsv1alpha2.Direction
		other     corev1.ObjectReference
	}
	found := map[key]*sum{}
	add := func(direction metricsv1alpha2.Direction, other *corev1.ObjectReference, f *Flow) {
		k := key{direction, *other}
		if found[k] == nil {
			found[k] = &sum{}
		}
		found[k].add(f)
	}
	callers := a.identities(member)
	for _, f := range a.flows {
		if member(f.FlowKey) {
			add(metricsv1alpha2.From, a.source(f.Source), f)
		}
		if backend == nil && callers[f.Source] {
			add(metricsv1alpha2.To, a.destination(f.FlowKey), f)
		}
	}
	var out []*metricsv1alpha2.TrafficMetrics
	for k, total := range found {
		out = append(out, a.metrics(self, &metricsv1alpha2.Edge{Direction: k.direction, Side: metricsv1alpha2.Server, Resource: &k.other}, backend, *total))
	}
	slices.SortFunc(out, func(x, y *metricsv1alpha2.TrafficMetrics) int {
		return cmp.Or(cmp.Compare(x.Edge.Direction, y.Edge.Direction), cmp.Compare(x.Edge.Resource.Namespace, y.Edge.Resource.Namespace),
			cmp.Compare(x.Edge.Resource.Kind, y.Edge.Resource.Kind), cmp.Compare(x.Edge.Resource.Name, y.Edge.Resource.Name))
	})
	return out
}

// membership tells which flows end at the object.
func (a answers) membership(object named) func(FlowKey) bool {
	switch a.request.Kind.Kind {
	case kindNamespace:
		return func(f FlowKey) bool { return f.Pod.Namespace == object.name }
	case kindPod:
		return func(f FlowKey) bool { return f.Pod == mesh.PodKey{Namespace: object.namespace, Name: object.name} }
	case kindService:
		pods := a.podsBehind(mesh.ServiceKey{Namespace: object.namespace, Name: object.name})
		return func(f FlowKey) bool { return pods[f.Pod] }
	}
	return func(f FlowKey) bool {
		return f.Pod.Namespace == object.namespace && f.Kind == a.request.Kind.Kind && f.Name == object.name
	}
}

// podsBehind are the pods that have endpoints of the Service.
func (a answers) podsBehind(key mesh.ServiceKey) map[mesh.PodKey]bool {
	out := map[mesh.PodKey]bool{}
	service := a.snapshot.Services.Get(key)
	if service == nil {
		return out
	}
	for _, port := range service.Ports {
		set := a.snapshot.Endpoints.Get(port.Key)
		if set == nil {
			continue
		}
		for _, e := range set.Endpoints {
			if pod := a.snapshot.PodsByIP.Get(e.Address.Addr()); pod != nil {
				out[pod.Key] = true
			}
		}
	}
	return out
}

// identities are those by which the object calls others: of the object's pods.
func (a answers) identities(member func(FlowKey) bool) map[mesh.Identity]bool {
	out := map[mesh.Identity]bool{}
	for pod := range a.snapshot.Pods.Values() {
		if pod.Meshed && member(FlowKey{Pod: pod.Key, Kind: pod.Workload.Kind, Name: pod.Workload.Name}) {
			out[pod.Identity] = true
		}
	}
	return out
}

// source names a caller by what the request is about: its namespace, or the one
// pod or workload that runs as it. Where there are several, or none any more, it
// is the service account.
func (a answers) source(id mesh.Identity) *corev1.ObjectReference {
	if id == (mesh.Identity{}) {
		return &corev1.ObjectReference{Kind: "Group", Name: "system:unauthenticated"}
	}
	if a.request.Kind.Kind == kindNamespace {
		return a.reference(kindNamespace, named{name: id.Namespace})
	}
	found := map[corev1.ObjectReference]bool{}
	for pod := range a.snapshot.Pods.Values() {
		if !pod.Meshed || pod.Identity != id {
			continue
		}
		kind, object := pod.Workload.Kind, named{id.Namespace, pod.Workload.Name}
		if a.request.Kind.Kind == kindPod {
			kind, object.name = kindPod, pod.Key.Name
		}
		found[*a.reference(kind, object)] = true
	}
	if len(found) == 1 {
		for reference := range found {
			return &reference
		}
	}
	return a.reference("ServiceAccount", named{id.Namespace, id.ServiceAccount})
}

// destination names who answered.
func (a answers) destination(f FlowKey) *corev1.ObjectReference {
	switch a.request.Kind.Kind {
	case kindNamespace:
		return a.reference(kindNamespace, named{name: f.Pod.Namespace})
	case kindPod:
		return a.reference(kindPod, named{f.Pod.Namespace, f.Pod.Name})
	}
	return a.reference(f.Kind, named{f.Pod.Namespace, f.Name})
}

func (a answers) reference(kind string, object named) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: kind, Namespace: object.namespace, Name: object.name}
}

func (a answers) metrics(self *corev1.ObjectReference, edge *metricsv1alpha2.Edge, backend *metricsv1alpha2.Backend, total sum) *metricsv1alpha2.TrafficMetrics {
	latency := func(name string, q float64) *metricsv1alpha2.Metric {
		return &metricsv1alpha2.Metric{Name: name, Unit: metricsv1alpha2.MilliSeconds, Value: milli(total.quantile(q))}
	}
	return &metricsv1alpha2.TrafficMetrics{
		TypeMeta:   metav1.TypeMeta{APIVersion: metricsv1alpha2.APIVersion, Kind: "TrafficMetrics"},
		ObjectMeta: metav1.ObjectMeta{Namespace: self.Namespace, Name: self.Name, CreationTimestamp: metav1.NewTime(a.now)},
		Interval:   &metricsv1alpha2.Interval{Timestamp: metav1.NewTime(a.now), Window: metav1.Duration{Duration: a.request.Window}},
		Resource:   self, Edge: edge, Backend: backend,
		Metrics: []*metricsv1alpha2.Metric{
			latency("p99_response_latency", 0.99), latency("p90_response_latency", 0.9), latency("p50_response_latency", 0.5),
			{Name: "success_count", Value: milli(max(0, total.requests-total.failures))},
			{Name: "failure_count", Value: milli(total.failures)},
		},
	}
}

func milli(value float64) *resource.Quantity {
	return resource.NewMilliQuantity(int64(math.Round(value*1000)), resource.DecimalSI)
}

// backends are those of the split, in its order, each once; none of one that is
// not in force.
func backends(snapshot *mesh.Snapshot, object named) []metricsv1alpha2.Backend {
	key := mesh.ObjectKey{Group: "split.smi-spec.io", Kind: kindSplit, Namespace: object.namespace, Name: object.name}
	use := snapshot.Uses.Get(key)
	if use == nil {
		return nil
	}
	var out []metricsv1alpha2.Backend
	for _, portKey := range use.Ports {
		port := snapshot.Port(portKey)
		if port == nil {
			continue
		}
		for _, route := range append(slices.Clone(port.Matched), port.Route) {
			if route == nil || route.Origin != key.String() {
				continue
			}
			for _, share := range route.Shares {
				if slices.ContainsFunc(out, func(b metricsv1alpha2.Backend) bool { return b.Name == share.Backend.Service.Name }) {
					continue
				}
				out = append(out, metricsv1alpha2.Backend{Apex: portKey.Service.Name, Name: share.Backend.Service.Name, Weight: int(share.Weight)})
			}
		}
	}
	return out
}

// list is the list of the version.
func (a answers) list(self *corev1.ObjectReference, items []*metricsv1alpha2.TrafficMetrics) any {
	if a.request.Version == "v1alpha2" {
		return &metricsv1alpha2.TrafficMetricsList{
			TypeMeta: metav1.TypeMeta{APIVersion: metricsv1alpha2.APIVersion, Kind: "TrafficMetricsList"}, Resource: self, Items: append([]*metricsv1alpha2.TrafficMetrics{}, items...),
		}
	}
	list := &metricsv1alpha1.TrafficMetricsList{
		TypeMeta: metav1.TypeMeta{APIVersion: metricsv1alpha1.APIVersion, Kind: "TrafficMetricsList"}, Resource: self, Items: []*metricsv1alpha1.TrafficMetrics{},
	}
	for _, item := range items {
		list.Items = append(list.Items, older(item))
	}
	return list
}

// one is the object of the version.
func (a answers) one(item *metricsv1alpha2.TrafficMetrics) any {
	if a.request.Version == "v1alpha2" {
		return item
	}
	return older(item)
}

// older is the object in v1alpha1, which has neither side nor backend.
func older(item *metricsv1alpha2.TrafficMetrics) *metricsv1alpha1.TrafficMetrics {
	out := &metricsv1alpha1.TrafficMetrics{
		TypeMeta: metav1.TypeMeta{APIVersion: metricsv1alpha1.APIVersion, Kind: item.Kind}, ObjectMeta: item.ObjectMeta,
		Interval: &metricsv1alpha1.Interval{Timestamp: item.Timestamp, Window: item.Window},
		Resource: item.Resource,
		Edge:     &metricsv1alpha1.Edge{Direction: metricsv1alpha1.Direction(item.Edge.Direction), Resource: item.Edge.Resource},
	}
	for _, m := range item.Metrics {
		out.Metrics = append(out.Metrics, &metricsv1alpha1.Metric{Name: m.Name, Unit: metricsv1alpha1.Unit(m.Unit), Value: m.Value})
	}
	return out
}
