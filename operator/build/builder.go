package build

import (
	"net/netip"
	"reflect"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Builder makes each snapshot from the one before and what has changed. It
// keeps of the objects what later changes are judged by, and who depends on
// whom, so that its work follows the change and not the mesh. What it comes to
// depends on the objects that there are, never on the way there. One goroutine
// uses it.
type Builder struct {
	snapshot *mesh.Snapshot
	reports  mesh.Reports

	configs map[string]*heddlev1alpha1.MeshConfig
	// strict is what namespaces say of plaintext.
	strict map[string]bool
	// services are as they would be without splits.
	services map[mesh.ServiceKey]*mesh.Service

	pods map[mesh.PodKey]*podFacts
	// claims are the pods that say they have an address.
	claims links[netip.Addr, mesh.PodKey]
	// members are the pods of a workload.
	members links[mesh.WorkloadKey, mesh.PodKey]
	// workloadsOf are the workloads of an identity, workloadsIn and
	// identitiesIn what there is in a namespace.
	workloadsOf  links[mesh.Identity, mesh.WorkloadKey]
	workloadsIn  links[string, mesh.WorkloadKey]
	identitiesIn links[string, mesh.Identity]

	slices map[types.NamespacedName]*discoveryv1.EndpointSlice
	// slicesOf are the slices of a service; behindPod and behindAddr the
	// services with endpoints that name a pod or have an address.
	slicesOf   links[mesh.ServiceKey, types.NamespacedName]
	behindPod  links[mesh.PodKey, mesh.ServiceKey]
	behindAddr links[netip.Addr, mesh.ServiceKey]

	groups map[types.NamespacedName]*routeGroup
	tcp    map[types.NamespacedName]*specsv1alpha4.TCPRoute

	splits map[types.NamespacedName]*splitv1alpha4.TrafficSplit
	// splitsOf are the splits of a root; rootsBehind and rootsMatching the
	// roots of the splits that name a backend or a group.
	splitsOf      links[mesh.ServiceKey, types.NamespacedName]
	rootsBehind   links[mesh.ServiceKey, mesh.ServiceKey]
	rootsMatching links[mesh.ObjectKey, mesh.ServiceKey]
	// usesOf are the ports whose routes objects make, by root.
	usesOf map[mesh.ServiceKey]map[mesh.ObjectKey][]mesh.PortKey

	targets map[types.NamespacedName]*judgedTarget
	// targetsOf are the targets of a destination, targetsBy those with a rule
	// that names a route.
	targetsOf links[mesh.Identity, types.NamespacedName]
	targetsBy links[mesh.ObjectKey, types.NamespacedName]

	// rootsUsing and identitiesUsing are what an object has part in.
	rootsUsing      links[mesh.ObjectKey, mesh.ServiceKey]
	identitiesUsing links[mesh.ObjectKey, mesh.Identity]
}

// NewBuilder returns a builder that has seen nothing.
func NewBuilder() *Builder {
	return &Builder{
		snapshot: &mesh.Snapshot{Settings: settings(nil)},
		configs:  map[string]*heddlev1alpha1.MeshConfig{}, strict: map[string]bool{},
		services: map[mesh.ServiceKey]*mesh.Service{}, pods: map[mesh.PodKey]*podFacts{},
		claims: links[netip.Addr, mesh.PodKey]{}, members: links[mesh.WorkloadKey, mesh.PodKey]{},
		workloadsOf: links[mesh.Identity, mesh.WorkloadKey]{},
		workloadsIn: links[string, mesh.WorkloadKey]{}, identitiesIn: links[string, mesh.Identity]{},
		slices:   map[types.NamespacedName]*discoveryv1.EndpointSlice{},
		slicesOf: links[mesh.ServiceKey, types.NamespacedName]{}, behindPod: links[mesh.PodKey, mesh.ServiceKey]{},
		behindAddr: links[netip.Addr, mesh.ServiceKey]{},
		groups:     map[types.NamespacedName]*routeGroup{}, tcp: map[types.NamespacedName]*specsv1alpha4.TCPRoute{},
		splits:   map[types.NamespacedName]*splitv1alpha4.TrafficSplit{},
		splitsOf: links[mesh.ServiceKey, types.NamespacedName]{}, rootsBehind: links[mesh.ServiceKey, mesh.ServiceKey]{},
		rootsMatching: links[mesh.ObjectKey, mesh.ServiceKey]{}, usesOf: map[mesh.ServiceKey]map[mesh.ObjectKey][]mesh.PortKey{},
		targets: map[types.NamespacedName]*judgedTarget{}, targetsOf: links[mesh.Identity, types.NamespacedName]{},
		targetsBy:  links[mesh.ObjectKey, types.NamespacedName]{},
		rootsUsing: links[mesh.ObjectKey, mesh.ServiceKey]{}, identitiesUsing: links[mesh.ObjectKey, mesh.Identity]{},
	}
}

// Apply returns the snapshot after the changes and the reports on all objects.
// The builder keeps some of the objects and changes none.
func (b *Builder) Apply(changes Changes) (*mesh.Snapshot, mesh.Reports) {
	s := b.step()
	s.applyConfigs(changes.MeshConfigs)
	s.applyNamespaces(changes.Namespaces)
	s.applyServices(changes.Services)
	s.applyPods(changes.Pods)
	s.applySlices(changes.EndpointSlices)
	s.applyRoutes(changes)
	s.applySplits(changes.TrafficSplits)
	s.applyTargets(changes.TrafficTargets)

	s.makeWorkloads()
	s.makeEndpoints()
	s.makeRoots()
	s.makePolicies()
	s.makeUses()
	b.snapshot, b.reports = s.snapshot(), s.reports.Table()
	return b.snapshot, b.reports
}

// step is the way from one snapshot to the next: its tables under way, and what
// has to be made anew. Each make works off one set and may add to later ones.
type step struct {
	*Builder

	settings  mesh.Settings
	services  *mesh.Edit[mesh.ServiceKey, *mesh.Service]
	endpoints *mesh.Edit[mesh.PortKey, *mesh.EndpointSet]
	pods      *mesh.Edit[mesh.PodKey, *mesh.Pod]
	podsByIP  *mesh.Edit[netip.Addr, *mesh.Pod]
	workloads *mesh.Edit[mesh.WorkloadKey, *mesh.Workload]
	policies  *mesh.Edit[mesh.Identity, *mesh.Policy]
	access    *mesh.Edit[string, mesh.Access]
	uses      *mesh.Edit[mesh.ObjectKey, *mesh.Use]
	reports   *mesh.Edit[mesh.ObjectKey, *mesh.Report]

	staleWorkloads  set[mesh.WorkloadKey]
	staleEndpoints  set[mesh.ServiceKey]
	staleRoots      set[mesh.ServiceKey]
	staleTargets    set[types.NamespacedName]
	staleIdentities set[mesh.Identity]
	staleUses       set[mesh.ObjectKey]
}

func (b *Builder) step() *step {
	return &step{
		Builder: b, settings: b.snapshot.Settings,
		services: b.snapshot.Services.Edit(), endpoints: b.snapshot.Endpoints.Edit(),
		pods: b.snapshot.Pods.Edit(), podsByIP: b.snapshot.PodsByIP.Edit(),
		workloads: b.snapshot.Workloads.Edit(), policies: b.snapshot.Policies.Edit(),
		access: b.snapshot.NamespaceAccess.Edit(), uses: b.snapshot.Uses.Edit(), reports: b.reports.Edit(),
		staleWorkloads: set[mesh.WorkloadKey]{}, staleEndpoints: set[mesh.ServiceKey]{}, staleRoots: set[mesh.ServiceKey]{},
		staleTargets: set[types.NamespacedName]{}, staleIdentities: set[mesh.Identity]{}, staleUses: set[mesh.ObjectKey]{},
	}
}

func (s *step) snapshot() *mesh.Snapshot {
	return &mesh.Snapshot{
		Generation: s.Builder.snapshot.Generation + 1, Settings: s.settings,
		Services: s.services.Table(), Endpoints: s.endpoints.Table(),
		Pods: s.pods.Table(), PodsByIP: s.podsByIP.Table(),
		Workloads: s.workloads.Table(), Policies: s.policies.Table(),
		NamespaceAccess: s.access.Table(), Uses: s.uses.Table(),
	}
}

// keep gives the key the value, but leaves the one it has where they are equal.
func keep[K comparable, V any](e *mesh.Edit[K, *V], key K, value *V) {
	if old := e.Get(key); old == nil || !reflect.DeepEqual(old, value) {
		e.Put(key, value)
	}
}

// say replaces what is said of the object.
func (s *step) say(ref mesh.ObjectRef, findings ...mesh.Finding) {
	keep(s.reports, ref.Key(), &mesh.Report{Object: ref, Findings: findings})
}
