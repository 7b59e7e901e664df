package metricsapi

import (
	"cmp"
	"math"
	"slices"
	"time"

	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// answers makes TrafficMetrics of flows, for one request.
type answers struct {
	*index
	request request
	now     time.Time
}

// of returns the metrics of the object, or those between it and others; a split
// has some for each backend.
func (a answers) of(object named) []*metricsv1alpha2.TrafficMetrics {
	if a.kind.Kind != kindSplit {
		flows, pods := a.members(object)
		return a.about(object, flows, pods, nil)
	}
	var out []*metricsv1alpha2.TrafficMetrics
	for _, backend := range backends(a.snapshot, object) {
		flows, _ := a.behind(mesh.ServiceKey{Namespace: object.namespace, Name: backend.Name})
		// Whoever has no identity knows no splits.
		flows = slices.DeleteFunc(flows, func(f *Flow) bool { return f.Source == mesh.Identity{} })
		out = append(out, a.about(object, flows, nil, &backend)...)
	}
	return out
}

// about returns what the flows come to, or one for each that the object is called
// by, and that its pods call.
func (a answers) about(object named, flows []*Flow, pods []*mesh.Pod, backend *metricsv1alpha2.Backend) []*metricsv1alpha2.TrafficMetrics {
	self := *reference(a.kind.Kind, object)
	if !a.request.Edges {
		var total sum
		for _, f := range flows {
			total.add(f)
		}
		edge := &metricsv1alpha2.Edge{Direction: metricsv1alpha2.From, Side: metricsv1alpha2.Server}
		return []*metricsv1alpha2.TrafficMetrics{a.metrics(object, &self, edge, backend, total)}
	}
	type key struct {
		direction   metricsv1alpha2.Direction
		self, other corev1.ObjectReference
	}
	found := map[key]*sum{}
	add := func(k key, f *Flow) {
		if found[k] == nil {
			found[k] = &sum{}
		}
		found[k].add(f)
	}
	for _, f := range flows {
		add(key{metricsv1alpha2.From, self, a.source(f.Source)}, f)
	}
	for id, alone := range a.callers(pods) {
		caller := self
		if !alone {
			caller = accountOf(id)
		}
		for _, f := range a.calls[id] {
			add(key{metricsv1alpha2.To, caller, a.destination(f.FlowKey)}, f)
		}
	}
	var out []*metricsv1alpha2.TrafficMetrics
	for k, total := range found {
		edge := &metricsv1alpha2.Edge{Direction: k.direction, Side: metricsv1alpha2.Server, Resource: &k.other}
		out = append(out, a.metrics(object, &k.self, edge, backend, *total))
	}
	slices.SortFunc(out, func(x, y *metricsv1alpha2.TrafficMetrics) int {
		return cmp.Or(cmp.Compare(x.Edge.Direction, y.Edge.Direction), compare(x.Edge.Resource, y.Edge.Resource), compare(x.Resource, y.Resource))
	})
	return out
}

func compare(x, y *corev1.ObjectReference) int {
	return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
}

func reference(kind string, object named) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: kind, Namespace: object.namespace, Name: object.name}
}

func (a answers) metrics(object named, self *corev1.ObjectReference, edge *metricsv1alpha2.Edge, backend *metricsv1alpha2.Backend, total sum) *metricsv1alpha2.TrafficMetrics {
	latency := func(name string, q float64) *metricsv1alpha2.Metric {
		return &metricsv1alpha2.Metric{Name: name, Unit: metricsv1alpha2.MilliSeconds, Value: milli(total.quantile(q))}
	}
	return &metricsv1alpha2.TrafficMetrics{
		TypeMeta:   metav1.TypeMeta{APIVersion: Group + "/" + a.request.Version, Kind: "TrafficMetrics"},
		ObjectMeta: metav1.ObjectMeta{Namespace: object.namespace, Name: object.name, CreationTimestamp: metav1.NewTime(a.now)},
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

// list is what is answered where there may be several. The selector is in the
// specification and not in its SDK's types.
type list struct {
	*metricsv1alpha2.TrafficMetricsList
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// list makes a list of the version. v1alpha1 is as its text has it, with sides and
// backends, which that version's types pass over.
func (a answers) list(self *corev1.ObjectReference, items []*metricsv1alpha2.TrafficMetrics) list {
	return list{
		TrafficMetricsList: &metricsv1alpha2.TrafficMetricsList{
			TypeMeta: metav1.TypeMeta{APIVersion: Group + "/" + a.request.Version, Kind: "TrafficMetricsList"},
			Resource: self, Items: append([]*metricsv1alpha2.TrafficMetrics{}, items...),
		},
		Selector: a.request.Written,
	}
}
