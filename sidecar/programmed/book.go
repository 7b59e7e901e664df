// Package programmed follows Kubernetes objects into the proxies: what was
// made of an object is delivered when every connected proxy that is to have it
// has acknowledged it.
//
//	objects and their resources -> Book <- deliveries of the xDS server
//	Book -> finding of type Programmed for each object
package programmed

import (
	"fmt"
	"slices"
	"sync"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Object is a Kubernetes object and what was made of it.
type Object struct {
	Ref mesh.ObjectRef
	// Accepted is false when the object has no effect at all.
	Accepted bool
	// Resources are those whose content it has part in.
	Resources []Resource
}

// Resource is one version of an xDS resource.
type Resource struct{ TypeURL, Name, Version string }

// Delivered tells how far a version has come; it is xds.Server's method.
type Delivered func(typeURL, name, version string) xds.Delivery

// Book knows the objects and which of them have arrived. An object that has
// arrived stays so until something else is made of it: a proxy that connects
// later, and has yet to be sent everything, is no news about the object. The
// zero value is an empty book, safe for concurrent use.
type Book struct {
	mu      sync.Mutex
	objects []Object
	// arrived holds what the object was when all had acknowledged it.
	arrived map[mesh.ObjectRef][]Resource
}

// Put replaces the objects.
func (b *Book) Put(objects []Object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	arrived := map[mesh.ObjectRef][]Resource{}
	for _, o := range objects {
		if before, ok := b.arrived[o.Ref]; ok && slices.Equal(before, o.Resources) {
			arrived[o.Ref] = before
		}
	}
	b.objects, b.arrived = objects, arrived
}

// Findings returns what is to be said of every object, in their order, and
// whether some have yet to arrive. Its cost follows those.
func (b *Book) Findings(delivered Delivered) (findings []mesh.Finding, pending bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	findings = make([]mesh.Finding, 0, len(b.objects))
	for _, o := range b.objects {
		f := mesh.Finding{Object: o.Ref, Type: heddlev1alpha1.ConditionProgrammed}
		switch _, arrived := b.arrived[o.Ref]; {
		case !o.Accepted:
			f.Reason, f.Message = heddlev1alpha1.ReasonNotAccepted, "nothing is sent to proxies: see condition Accepted"
		case arrived:
			f.OK = true
		default:
			f = judge(f, o, delivered)
		}
		if f.OK {
			f.Reason, f.Message = heddlev1alpha1.ReasonProgrammed, "all connected proxies that it concerns have it"
			b.arrived[o.Ref] = o.Resources
		}
		pending = pending || f.Reason == heddlev1alpha1.ReasonPending
		findings = append(findings, f)
	}
	return findings, pending
}

// judge looks for the resource that is furthest behind.
func judge(f mesh.Finding, o Object, delivered Delivered) mesh.Finding {
	f.OK = true
	behind := 0
	for _, r := range o.Resources {
		d := delivered(r.TypeURL, r.Name, r.Version)
		if d.Rejection != nil {
			f.OK, f.Reason = false, heddlev1alpha1.ReasonRejected
			f.Message = fmt.Sprintf("the proxy of pod %s/%s refused %s %s and keeps what it had: %s",
				d.Pod.Namespace, d.Pod.Name, d.Rejection.Type, d.Rejection.Name, d.Rejection.Message)
			return f
		}
		if missing := d.Subscribed - d.Acked; missing > behind {
			behind, f.OK, f.Reason = missing, false, heddlev1alpha1.ReasonPending
			f.Message = fmt.Sprintf("%d of %d connected proxies that it concerns have it", d.Acked, d.Subscribed)
		}
	}
	return f
}
