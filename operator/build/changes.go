package build

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// Changes are the objects that differ from what a Builder has seen of them, by
// name. One that is gone is nil. The zero value changes nothing.
type Changes struct {
	MeshConfigs     Of[*heddlev1alpha1.MeshConfig]
	Namespaces      Of[*corev1.Namespace]
	Services        Of[*corev1.Service]
	EndpointSlices  Of[*discoveryv1.EndpointSlice]
	Pods            Of[*corev1.Pod]
	TrafficSplits   Of[*splitv1alpha4.TrafficSplit]
	TrafficTargets  Of[*accessv1alpha3.TrafficTarget]
	HTTPRouteGroups Of[*specsv1alpha4.HTTPRouteGroup]
	TCPRoutes       Of[*specsv1alpha4.TCPRoute]
	UDPRoutes       Of[*specsv1alpha4.UDPRoute]
}

// Of are the objects of one kind by namespace and name; nil is gone.
type Of[T client.Object] map[types.NamespacedName]T

// Put notes that the object is there as it is.
func (o *Of[T]) Put(object T) { o.set(object, object) }

// Drop notes that the object is gone.
func (o *Of[T]) Drop(object T) {
	var gone T
	o.set(object, gone)
}

func (o *Of[T]) set(named, object T) {
	if *o == nil {
		*o = Of[T]{}
	}
	(*o)[types.NamespacedName{Namespace: named.GetNamespace(), Name: named.GetName()}] = object
}

// Objects is everything a snapshot is made from, in any order. The build does
// not change them.
type Objects struct {
	// MeshConfig may be nil; defaults hold then.
	MeshConfig *heddlev1alpha1.MeshConfig
	// OtherMeshConfigs are those of other names, which don't count.
	OtherMeshConfigs []*heddlev1alpha1.MeshConfig
	Namespaces       []*corev1.Namespace
	Services         []*corev1.Service
	EndpointSlices   []*discoveryv1.EndpointSlice
	Pods             []*corev1.Pod
	TrafficSplits    []*splitv1alpha4.TrafficSplit
	TrafficTargets   []*accessv1alpha3.TrafficTarget
	HTTPRouteGroups  []*specsv1alpha4.HTTPRouteGroup
	TCPRoutes        []*specsv1alpha4.TCPRoute
	UDPRoutes        []*specsv1alpha4.UDPRoute
}

// changes are what the objects are to one who has seen none.
func (o Objects) changes() Changes {
	out := Changes{
		MeshConfigs: listed(o.OtherMeshConfigs), Namespaces: listed(o.Namespaces),
		Services: listed(o.Services), EndpointSlices: listed(o.EndpointSlices), Pods: listed(o.Pods),
		TrafficSplits: listed(o.TrafficSplits), TrafficTargets: listed(o.TrafficTargets),
		HTTPRouteGroups: listed(o.HTTPRouteGroups), TCPRoutes: listed(o.TCPRoutes), UDPRoutes: listed(o.UDPRoutes),
	}
	if o.MeshConfig != nil {
		out.MeshConfigs[types.NamespacedName{Name: heddlev1alpha1.MeshConfigName}] = o.MeshConfig
	}
	return out
}

func listed[T client.Object](objects []T) Of[T] {
	out := make(Of[T], len(objects))
	for _, object := range objects {
		out.Put(object)
	}
	return out
}
