// Package programmed follows Kubernetes objects into the proxies: what was
// made of an object is delivered when every connected proxy that is to have it
// has acknowledged it.
//
//	State (reports, snapshot, resources) -> Book <- deliveries of the xDS server
//	Book -> reports with a finding of type Programmed for each SMI object
package programmed

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Grace is how long proxies may take before an object is said to be pending:
// most changes are acknowledged within milliseconds, and what is said of an
// object is then said once.
const Grace = 500 * time.Millisecond

// State is what the Book follows: one publication.
type State struct {
	Reports   mesh.Reports
	Snapshot  *mesh.Snapshot
	Resources Resources
}

// Resources are what there is, whoever asks.
type Resources interface {
	// Lookup returns what all clients have that have it, nil if there is none.
	Lookup(typeURL, name string) *xds.Resource
	// Residents are the workloads of the identity.
	Residents(id mesh.Identity) iter.Seq[mesh.WorkloadKey]
}

// Resource is one version of an xDS resource.
type Resource struct {
	TypeURL, Name string
	// Version tells what was made of the object.
	Version string
	// Shared is the port whose connections the resource shares, if it is an
	// assignment: clients have it in versions of their own, and Version then tells
	// the shares.
	Shared mesh.PortKey
}

// asked is the version to ask for.
func (r Resource) asked() string {
	if r.Shared != (mesh.PortKey{}) {
		return ""
	}
	return r.Version
}

// in is false if the snapshot does not yet have what was made of the object,
// where the version that clients are to have can't tell that.
func (r Resource) in(snapshot *mesh.Snapshot) bool {
	if r.Shared == (mesh.PortKey{}) {
		return true
	}
	port := snapshot.Port(r.Shared)
	return port != nil && port.Route != nil && sharesOf(port.Route) == r.Version
}

// Delivered tells how far a version has come, or if that is empty the version
// that each proxy is to have by now; it is xds.Server's method.
type Delivered func(typeURL, name, version string) xds.Delivery

// Book knows the objects and which of them have arrived. An object that has
// arrived stays so until something else is made of it: a proxy that connects
// later, and has yet to be sent everything, is no news about the object. Its
// work follows what changed and what has yet to arrive. One goroutine uses it.
type Book struct {
	state   State
	objects map[mesh.ObjectKey]*object
	// open are those that have not been said or have not arrived.
	open map[mesh.ObjectKey]struct{}
	// byService and byIdentity are those with a part in them.
	byService  map[mesh.ServiceKey]map[mesh.ObjectKey]struct{}
	byIdentity map[mesh.Identity]map[mesh.ObjectKey]struct{}
	reports    mesh.Reports
}

// object is a Kubernetes object and what was made of it.
type object struct {
	report *mesh.Report
	use    *mesh.Use
	// accepted is false when it has no effect at all.
	accepted  bool
	resources []Resource
	since     time.Time
	arrived   bool
}

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{
		state: State{Snapshot: &mesh.Snapshot{}}, objects: map[mesh.ObjectKey]*object{}, open: map[mesh.ObjectKey]struct{}{},
		byService: map[mesh.ServiceKey]map[mesh.ObjectKey]struct{}{}, byIdentity: map[mesh.Identity]map[mesh.ObjectKey]struct{}{},
	}
}

// Report returns what is to be said of every object: what the build found and,
// of SMI objects, how far they have come. again is when to look again at what
// may arrive in a moment, zero for when there is news.
func (b *Book) Report(delivered func(Resource) Delivery, now time.Time) (reports mesh.Reports, again time.Duration) {
	said := b.reports.Edit()
	for key := range b.open {
		o := b.objects[key]
		if o == nil {
			said.Drop(key)
			delete(b.open, key)
			continue
		}
		finding, follow := o.judge(delivered)
		if left := Grace - now.Sub(o.since); finding.Reason == heddlev1alpha1.ReasonPending && left > 0 {
			if again == 0 || left < again {
				again = left
			}
			continue
		}
		findings := o.report.Findings
		if follow {
			findings = append(slices.Clone(findings), finding)
		}
		if before := said.Get(key); before == nil || before.Object != o.report.Object || !slices.EqualFunc(before.Findings, findings, same) {
			said.Put(key, &mesh.Report{Object: o.report.Object, Findings: findings})
		}
		if o.arrived || !follow || !o.accepted {
			delete(b.open, key)
		}
	}
	b.reports = said.Table()
	return b.reports, again
}

func same(x, y mesh.Finding) bool {
	return x.Object == y.Object && x.Type == y.Type && x.OK == y.OK && x.Reason == y.Reason && x.Message == y.Message &&
		slices.Equal(x.Problems, y.Problems)
}

// smi ends the API groups whose objects are followed.
const smi = ".smi-spec.io"

// judge says how far the object has come. follow is false for one that goes to
// no proxy.
func (o *object) judge(delivered func(Resource) Delivery) (f mesh.Finding, follow bool) {
	if !strings.HasSuffix(o.report.Object.Group, smi) {
		return mesh.Finding{}, false
	}
	f = mesh.Finding{Object: o.report.Object, Type: heddlev1alpha1.ConditionProgrammed}
	switch {
	case !o.accepted:
		f.Reason, f.Message = heddlev1alpha1.ReasonNotAccepted, "nothing is sent to proxies: see condition Accepted"
		return f, true
	case o.arrived:
		f.OK = true
	default:
		f = furthestBehind(f, o.resources, delivered)
	}
	if f.OK {
		f.Reason, f.Message = heddlev1alpha1.ReasonProgrammed, "all connected proxies that it concerns have it"
		o.arrived = true
	}
	return f, true
}

// Pending returns the resources of objects that have yet to arrive, each once.
func (b *Book) Pending() []Resource {
	seen := map[Resource]struct{}{}
	for key := range b.open {
		o := b.objects[key]
		if o == nil || o.arrived || !o.accepted {
			continue
		}
		for _, r := range o.resources {
			seen[r] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

func furthestBehind(f mesh.Finding, resources []Resource, delivered func(Resource) Delivery) mesh.Finding {
	f.OK = true
	behind := 0
	for _, r := range resources {
		d := delivered(r)
		if d.Rejection != nil {
			f.OK, f.Reason = false, heddlev1alpha1.ReasonRejected
			f.Message = fmt.Sprintf("the proxy of pod %s/%s refused %s %s and keeps what it had: %s",
				d.Pod.Namespace, d.Pod.Name, d.Rejection.Type, d.Rejection.Name, d.Rejection.Message)
			return f
		}
		if d.Unknown != "" {
			behind, f.OK, f.Reason, f.Message = math.MaxInt, false, heddlev1alpha1.ReasonPending, d.Unknown
		}
		if missing := d.Subscribed - d.Acked; missing > behind {
			behind, f.OK, f.Reason = missing, false, heddlev1alpha1.ReasonPending
			f.Message = fmt.Sprintf("%d of %d connected proxies that it concerns have it", d.Acked, d.Subscribed)
		}
	}
	return f
}
