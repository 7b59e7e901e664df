package build

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

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

// Build returns the snapshot of the objects and what is to be said about
// them, which is never nil. Parts equal to prev's are prev's own; prev may be nil.
func Build(objects Objects, prev *mesh.Snapshot) (*mesh.Snapshot, []mesh.Finding) {
	b := &builder{objects: objects, findings: []mesh.Finding{}, snapshot: &mesh.Snapshot{
		Settings:        settings(objects.MeshConfig),
		Services:        make(map[mesh.ServiceKey]*mesh.Service, len(objects.Services)),
		NamespaceAccess: map[string]mesh.Access{},
		Uses:            map[mesh.ObjectRef]mesh.Use{},
	}}
	if prev == nil {
		prev = &mesh.Snapshot{}
	}
	b.snapshot.Generation = prev.Generation + 1
	b.config()
	b.services()
	owners := b.pods(b.namespaces())
	reuse(b.snapshot.Pods, prev.Pods)
	b.snapshot.PodsByIP = make(map[netip.Addr]*mesh.Pod, len(owners))
	for ip, owner := range owners {
		b.snapshot.PodsByIP[ip] = b.snapshot.Pods[podKey(owner)]
	}
	b.snapshot.Endpoints = Endpoints(objects.EndpointSlices, b.snapshot)
	routes := b.routes()
	b.splits(routes)
	b.policies(routes)
	b.orderUses()

	reuse(b.snapshot.Services, prev.Services)
	reuse(b.snapshot.Endpoints, prev.Endpoints)
	reuse(b.snapshot.Workloads, prev.Workloads)
	reuse(b.snapshot.Policies, prev.Policies)
	slices.SortStableFunc(b.findings, func(x, y mesh.Finding) int {
		return cmp.Or(cmp.Compare(x.Object.String(), y.Object.String()), cmp.Compare(x.Type, y.Type))
	})
	return b.snapshot, b.findings
}

type builder struct {
	objects  Objects
	snapshot *mesh.Snapshot
	findings []mesh.Finding
}

func (b *builder) find(f mesh.Finding) { b.findings = append(b.findings, f) }

// reuse puts the old pointer where the value is equal.
func reuse[K comparable, V any](now, before map[K]*V) {
	for key, value := range now {
		if old, ok := before[key]; ok && (old == value || reflect.DeepEqual(old, value)) {
			now[key] = old
		}
	}
}

// namespaces reads the labels that override the mesh's defaults and returns
// where plaintext is refused. A label that says neither is taken for the
// stricter word: a typo must not open a namespace.
func (b *builder) namespaces() (strict map[string]bool) {
	strict = map[string]bool{}
	for _, ns := range b.objects.Namespaces {
		if label, ok := ns.Labels[heddlev1alpha1.LabelMTLS]; ok {
			strict[ns.Name] = heddlev1alpha1.MTLSMode(label) != heddlev1alpha1.MTLSPermissive
		}
		label, ok := ns.Labels[heddlev1alpha1.LabelAccess]
		if !ok {
			continue
		}
		switch mode := heddlev1alpha1.AccessMode(label); mode {
		case heddlev1alpha1.AccessAllow, heddlev1alpha1.AccessAllowUnlessTargeted:
			b.snapshot.NamespaceAccess[ns.Name] = accessOf(mode)
		default:
			b.snapshot.NamespaceAccess[ns.Name] = mesh.Deny
		}
	}
	return strict
}
