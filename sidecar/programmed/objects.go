package programmed

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Update follows the objects to another state.
func (b *Book) Update(next State, now time.Time) {
	old := b.state
	stale := map[mesh.ObjectKey]struct{}{}
	mark := func(objects map[mesh.ObjectKey]struct{}) {
		for key := range objects {
			stale[key] = struct{}{}
		}
	}
	for key := range mesh.Changed(old.Reports, next.Reports) {
		stale[key] = struct{}{}
	}
	for key := range mesh.Changed(old.Snapshot.Uses, next.Snapshot.Uses) {
		stale[key] = struct{}{}
	}
	for key := range mesh.Changed(old.Snapshot.Services, next.Snapshot.Services) {
		mark(b.byService[key])
	}
	for key := range mesh.Changed(old.Snapshot.Endpoints, next.Snapshot.Endpoints) {
		mark(b.byService[key.Service])
	}
	for key := range mesh.Changed(old.Snapshot.Workloads, next.Snapshot.Workloads) {
		for _, workload := range []*mesh.Workload{old.Snapshot.Workloads.Get(key), next.Snapshot.Workloads.Get(key)} {
			if workload != nil {
				mark(b.byIdentity[workload.Identity])
			}
		}
	}
	for id := range mesh.Changed(old.Snapshot.Policies, next.Snapshot.Policies) {
		mark(b.byIdentity[id])
	}
	if old.Snapshot.Settings != next.Snapshot.Settings {
		for key := range b.objects {
			stale[key] = struct{}{}
		}
	}
	b.state = next
	for key := range stale {
		b.follow(key, now)
	}
}

// follow takes the object as it is by now.
func (b *Book) follow(key mesh.ObjectKey, now time.Time) {
	before, report := b.objects[key], b.state.Reports.Get(key)
	if before != nil {
		b.index(key, before.use, drop)
	}
	if report == nil {
		if before != nil {
			delete(b.objects, key)
			b.open[key] = struct{}{}
		}
		return
	}
	o := &object{report: report, use: b.state.Snapshot.Uses.Get(key), accepted: accepted(report), since: now}
	b.index(key, o.use, insert)
	if o.use != nil {
		// It has an effect, if not the one that was meant.
		o.accepted, o.resources = true, b.resources(o.use)
	}
	if before != nil && before.report.Object == o.report.Object && slices.Equal(before.resources, o.resources) {
		o.arrived, o.since = before.arrived, before.since
		if before.report == o.report && before.accepted == o.accepted {
			b.objects[key] = o
			return // there is no news of it
		}
	}
	b.objects[key] = o
	b.open[key] = struct{}{}
}

func accepted(report *mesh.Report) bool {
	for _, f := range report.Findings {
		switch {
		case f.Type == heddlev1alpha1.ConditionAccepted && !f.OK, f.Type == heddlev1alpha1.ConditionConflicted && f.OK:
			return false
		}
	}
	return true
}

func (b *Book) index(key mesh.ObjectKey, use *mesh.Use, write func(map[mesh.ObjectKey]struct{}, mesh.ObjectKey) map[mesh.ObjectKey]struct{}) {
	if use == nil {
		return
	}
	for _, port := range use.Ports {
		set(b.byService, port.Service, write(b.byService[port.Service], key))
	}
	for _, id := range use.Identities {
		set(b.byIdentity, id, write(b.byIdentity[id], key))
	}
}

func insert(in map[mesh.ObjectKey]struct{}, key mesh.ObjectKey) map[mesh.ObjectKey]struct{} {
	if in == nil {
		in = map[mesh.ObjectKey]struct{}{}
	}
	in[key] = struct{}{}
	return in
}

func drop(in map[mesh.ObjectKey]struct{}, key mesh.ObjectKey) map[mesh.ObjectKey]struct{} {
	delete(in, key)
	return in
}

func set[K comparable](in map[K]map[mesh.ObjectKey]struct{}, key K, objects map[mesh.ObjectKey]struct{}) {
	if len(objects) == 0 {
		delete(in, key)
	} else {
		in[key] = objects
	}
}

// resources finds what a use comes to, ordered.
func (b *Book) resources(use *mesh.Use) []Resource {
	var out []Resource
	add := func(typeURL, name string) {
		if r := b.state.Resources.Lookup(typeURL, name); r != nil {
			out = append(out, Resource{TypeURL: typeURL, Name: name, Version: r.Version})
		}
	}
	for _, key := range use.Ports {
		service, port := b.state.Snapshot.Services.Get(key.Service), b.state.Snapshot.Port(key)
		if port == nil {
			continue
		}
		for _, dst := range b.state.Snapshot.Destinations(service, port) {
			add(xds.TypeVirtualHost, envoy.VirtualHost(dst))
		}
		if port.Route != nil {
			// Assignments differ by caller, and change with every pod.
			out = append(out, Resource{TypeURL: xds.TypeEndpoints, Name: envoy.SplitAssignment(key), Version: sharesOf(port.Route), Shared: key})
		}
	}
	for _, id := range use.Identities {
		add(xds.TypeRoutes, envoy.InboundRoutes(id))
		for workload := range b.state.Resources.Residents(id) {
			add(xds.TypeRoutes, envoy.PlaintextRoutes(workload))
			add(xds.TypeListener, envoy.InboundListener(workload))
		}
	}
	slices.SortFunc(out, func(x, y Resource) int { return cmp.Or(cmp.Compare(x.TypeURL, y.TypeURL), cmp.Compare(x.Name, y.Name)) })
	return out
}

// sharesOf writes down what of an assignment comes from the route.
func sharesOf(route *mesh.Route) string {
	var out strings.Builder
	for _, share := range route.Shares {
		out.WriteString(share.Backend.String() + "=" + strconv.FormatUint(uint64(share.Weight), 10) + " ")
	}
	return out.String()
}
