package programmed

import (
	"cmp"
	"slices"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// smi ends the API groups whose objects are followed.
const smi = ".smi-spec.io"

// Objects returns the SMI objects that findings are about, with the resources
// that they have part in.
func Objects(findings []mesh.Finding, snapshot *mesh.Snapshot, resources xds.Snapshot) []Object {
	seen := map[mesh.ObjectRef]int{}
	var objects []Object
	for _, f := range findings {
		if !strings.HasSuffix(f.Object.Group, smi) {
			continue
		}
		at, ok := seen[f.Object]
		if !ok {
			at = len(objects)
			seen[f.Object] = at
			objects = append(objects, Object{Ref: f.Object, Accepted: true})
		}
		switch {
		case f.Type == heddlev1alpha1.ConditionAccepted && !f.OK, f.Type == heddlev1alpha1.ConditionConflicted && f.OK:
			objects[at].Accepted = false
		}
	}
	index := newIndex(snapshot, resources)
	for i := range objects {
		use := snapshot.Uses[objects[i].Ref]
		if len(use.Ports)+len(use.Identities) > 0 {
			// It has an effect, if not the one that was meant.
			objects[i].Accepted, objects[i].Resources = true, index.resources(use)
		}
	}
	return objects
}

// index finds what a use comes to.
type index struct {
	snapshot *mesh.Snapshot
	from     xds.Snapshot
	// pods holds one meshed pod of each workload, by its identity.
	pods map[mesh.Identity][]*mesh.Pod
}

func newIndex(snapshot *mesh.Snapshot, from xds.Snapshot) *index {
	i := &index{snapshot: snapshot, from: from, pods: map[mesh.Identity][]*mesh.Pod{}}
	done := map[mesh.WorkloadKey]bool{}
	for _, pod := range snapshot.Pods {
		if pod.Meshed && !done[pod.Workload] {
			done[pod.Workload] = true
			i.pods[pod.Identity] = append(i.pods[pod.Identity], pod)
		}
	}
	return i
}

func (i *index) resources(use mesh.Use) []Resource {
	var out []Resource
	add := func(client xds.Client, typeURL, name string) {
		if r := i.from.Resource(client, typeURL, name); r != nil {
			out = append(out, Resource{typeURL, name, r.Version})
		}
	}
	// How connections are shared is in assignments, which differ by caller and
	// change with every pod: these are not followed.
	for _, key := range use.Ports {
		service := i.snapshot.Services[key.Service]
		if service == nil {
			continue
		}
		for _, port := range service.Ports {
			if port.Key != key {
				continue
			}
			for _, dst := range i.snapshot.Destinations(service, port) {
				add(xds.Client{}, xds.TypeVirtualHost, envoy.VirtualHost(dst))
			}
		}
	}
	for _, id := range use.Identities {
		for n, pod := range i.pods[id] {
			client := xds.Client{Namespace: pod.Key.Namespace, Pod: pod.Key.Name, PodUID: pod.UID, ServiceAccount: id.ServiceAccount}
			if n == 0 {
				add(client, xds.TypeRoutes, envoy.InboundRoutes(id))
			}
			add(client, xds.TypeRoutes, envoy.PlaintextRoutes(pod.Workload))
			add(client, xds.TypeListener, envoy.InboundListener(pod.Workload))
		}
	}
	slices.SortFunc(out, func(x, y Resource) int { return cmp.Or(cmp.Compare(x.TypeURL, y.TypeURL), cmp.Compare(x.Name, y.Name)) })
	return out
}
