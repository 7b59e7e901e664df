package build

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestOrderMakesNoDifference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, orderMakesNoDifference)
}

// FuzzBuild takes the first of the choices that make a mesh from its input and
// the others, which are many, from a generator that the input seeds: a short
// input is soon made shorter.
func FuzzBuild(f *testing.F) {
	check := rapid.MakeFuzz(func(t *rapid.T) {
		orderMakesNoDifference(t)
		nothingDangles(t)
		historiesComeToWhatThereIs(t)
	})
	for seed := range byte(4) {
		f.Add([]byte{seed})
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var seed [32]byte
		copy(seed[:], input)
		choices := make([]byte, 1<<15)
		_, _ = rand.NewChaCha8(seed).Read(choices) // never fails
		copy(choices, input)
		check(t, choices)
	})
}

func orderMakesNoDifference(t *rapid.T) {
	objects := anyObjects(t)
	kept := copied(objects)
	snapshot, findings := Build(objects)
	if diff := cmp.Diff(kept, objects); diff != "" {
		t.Fatalf("the build changed its objects:\n%s", diff)
	}
	other, otherFindings := Build(shuffled(t, objects))
	if diff := differ(snapshot, other); diff != "" {
		t.Errorf("snapshot (-as given +shuffled):\n%s", diff)
	}
	if diff := cmp.Diff(findings, otherFindings, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("findings (-as given +shuffled):\n%s", diff)
	}
}

// shuffled returns the objects, and the endpoints in them, in another order.
func shuffled(t *rapid.T, o Objects) Objects {
	o = copied(o)
	o.Namespaces = permuted(t, o.Namespaces)
	o.Services = permuted(t, o.Services)
	o.EndpointSlices = permuted(t, o.EndpointSlices)
	o.Pods = permuted(t, o.Pods)
	o.TrafficSplits = permuted(t, o.TrafficSplits)
	o.TrafficTargets = permuted(t, o.TrafficTargets)
	o.HTTPRouteGroups = permuted(t, o.HTTPRouteGroups)
	o.TCPRoutes = permuted(t, o.TCPRoutes)
	for _, s := range o.EndpointSlices {
		s.Endpoints = permuted(t, s.Endpoints)
	}
	return o
}

func permuted[T any](t *rapid.T, in []T) []T {
	if len(in) < 2 {
		return in
	}
	return rapid.Permutation(in).Draw(t, "order")
}

func copied(o Objects) Objects {
	o.MeshConfig = o.MeshConfig.DeepCopy()
	o.Namespaces = copies(o.Namespaces)
	o.Services = copies(o.Services)
	o.EndpointSlices = copies(o.EndpointSlices)
	o.Pods = copies(o.Pods)
	o.TrafficSplits = copies(o.TrafficSplits)
	o.TrafficTargets = copies(o.TrafficTargets)
	o.HTTPRouteGroups = copies(o.HTTPRouteGroups)
	o.TCPRoutes = copies(o.TCPRoutes)
	return o
}

func copies[T interface{ DeepCopy() T }](in []T) []T {
	var out []T
	for _, v := range in {
		out = append(out, v.DeepCopy())
	}
	return out
}

func TestNothingDangles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, nothingDangles)
}

// nothingDangles checks that whatever a snapshot refers to is in it, and that
// the findings are about objects that there are.
func nothingDangles(t *rapid.T) {
	objects := anyObjects(t)
	snapshot, findings := Build(objects)
	checkServices(t, snapshot)
	checkEndpoints(t, snapshot)
	checkPods(t, snapshot, objects.Pods)
	checkPolicies(t, snapshot)

	accepted := map[string]int{}
	for _, f := range findings {
		if f.Reason == "" || f.Message == "" || f.Object.Group == "" || f.Object.Version == "" {
			t.Errorf("a finding that says nothing: %+v", f)
		}
		if f.Type == "Accepted" {
			accepted[f.Object.String()]++
		}
	}
	all := len(objects.TrafficSplits) + len(objects.TrafficTargets) + len(objects.HTTPRouteGroups) + len(objects.TCPRoutes)
	if objects.MeshConfig != nil {
		all++
	}
	if len(accepted) != all {
		t.Errorf("%d objects are accepted or not, want %d", len(accepted), all)
	}
	for object, times := range accepted {
		if times != 1 {
			t.Errorf("%s is accepted or not %d times", object, times)
		}
	}
}

func checkServices(t *rapid.T, snapshot *mesh.Snapshot) {
	for key, s := range snapshot.Services.All() {
		if s.Key != key || len(s.Ports) == 0 {
			t.Errorf("service %s: %+v", key, s)
		}
		for _, port := range s.Ports {
			if port.Key.Service != key || port.Key.Port != port.Number {
				t.Errorf("port %s of %s has number %d", port.Key, key, port.Number)
			}
			if port.Protocol == mesh.ProtocolTCP && len(port.Matched) > 0 {
				t.Errorf("port %s is TCP and has requests", port.Key)
			}
			for _, route := range port.Matched {
				checkRoute(t, snapshot, port, route, true)
			}
			if port.Route != nil {
				checkRoute(t, snapshot, port, port.Route, false)
			}
		}
	}
}

func checkRoute(t *rapid.T, snapshot *mesh.Snapshot, port *mesh.Port, route *mesh.Route, matched bool) {
	if matched != (len(route.Matches) > 0) {
		t.Errorf("route of %s has matches %+v", port.Key, route.Matches)
	}
	checkMatches(t, route.Matches)
	if route.Total() > math.MaxUint32 {
		t.Errorf("weights of %s add up to %d", port.Key, route.Total())
	}
	for _, share := range route.Shares {
		backend := snapshot.Port(share.Backend)
		takes := backend != nil && (port.Protocol == mesh.ProtocolTCP || backend.Protocol != mesh.ProtocolTCP)
		if takes == share.Missing {
			t.Errorf("backend %s takes what is for %s: %t, missing: %t", share.Backend, port.Key, takes, share.Missing)
		}
	}
}

func checkMatches(t *rapid.T, matches []mesh.HTTPMatch) {
	for _, match := range matches {
		for _, h := range append([]mesh.HeaderMatch{{Regex: match.PathRegex}}, match.Headers...) {
			if _, err := regexp.Compile(h.Regex); err != nil {
				t.Errorf("match %+v: %v", match, err)
			}
		}
	}
}

func checkEndpoints(t *rapid.T, snapshot *mesh.Snapshot) {
	for key, set := range snapshot.Endpoints.All() {
		if set.Key != key || snapshot.Port(key) == nil || len(set.Endpoints) == 0 {
			t.Errorf("endpoints of %s: %+v", key, set)
		}
		var identities []mesh.Identity
		for i, e := range set.Endpoints {
			if i > 0 && e.Address.Compare(set.Endpoints[i-1].Address) <= 0 {
				t.Errorf("%s does not come after %s", e.Address, set.Endpoints[i-1].Address)
			}
			if e.Meshed {
				identities = append(identities, e.Identity)
			} else if e.Identity != (mesh.Identity{}) {
				t.Errorf("%s has an identity and no sidecar", e.Address)
			}
			if owner := snapshot.PodsByIP.Get(e.Address.Addr()); owner != nil && (owner.SidecarAt(e.Address.Port()) != e.Meshed || e.Meshed && owner.Identity != e.Identity) {
				t.Errorf("endpoint %+v at the address of %+v", e, owner)
			}
		}
		slices.SortFunc(identities, mesh.Identity.Compare)
		if diff := cmp.Diff(slices.Compact(identities), set.Identities); diff != "" {
			t.Errorf("identities of %s (-of its endpoints +of the set):\n%s", key, diff)
		}
	}
}

func checkPods(t *rapid.T, snapshot *mesh.Snapshot, objects []*corev1.Pod) {
	for _, object := range objects {
		p := snapshot.Pods.Get(podKey(object))
		ended := object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed
		if ended != (p == nil) {
			t.Errorf("pod %s in phase %s: %+v", object.Name, object.Status.Phase, p)
		}
		if p != nil && object.Spec.HostNetwork && (p.Meshed || len(p.IPs) > 0 || p.DirectPorts != nil) {
			t.Errorf("pod on the node's network: %+v", p)
		}
	}
	claimed := map[netip.Addr]bool{}
	used := map[mesh.WorkloadKey]bool{}
	for key, p := range snapshot.Pods.All() {
		for _, ip := range p.IPs {
			claimed[ip] = true
		}
		switch workload := snapshot.Workloads.Get(p.Workload); {
		case p.Key != key:
			t.Errorf("pod %+v is found as %+v", p.Key, key)
		case p.Meshed && (workload == nil || workload.Identity != p.Identity):
			t.Errorf("pod %+v has workload %+v", p, workload)
		case !p.Meshed && p.Workload != (mesh.WorkloadKey{}):
			t.Errorf("pod without a sidecar has workload %+v", p.Workload)
		}
		used[p.Workload] = true
	}
	for key := range snapshot.Workloads.All() {
		if !used[key] {
			t.Errorf("no pod is of workload %+v", key)
		}
	}
	for ip, p := range snapshot.PodsByIP.All() {
		if snapshot.Pods.Get(p.Key) != p || !slices.Contains(p.IPs, ip) {
			t.Errorf("%s leads to %+v", ip, p)
		}
	}
	if len(claimed) != snapshot.PodsByIP.Len() {
		t.Errorf("%d addresses are claimed and %d have an owner", len(claimed), snapshot.PodsByIP.Len())
	}
}

func checkPolicies(t *rapid.T, snapshot *mesh.Snapshot) {
	for key, workload := range snapshot.Workloads.All() {
		if snapshot.Policies.Get(workload.Identity) == nil {
			t.Errorf("workload %+v has no policy", key)
		}
	}
	for id, policy := range snapshot.Policies.All() {
		access := snapshot.AccessOf(id.Namespace)
		if policy.Destination != id || policy.Closed && access == mesh.Allow || !policy.Closed && access == mesh.Deny {
			t.Errorf("policy of %+v under access %v: %+v", id, access, policy)
		}
		for _, grant := range policy.Grants {
			if !slices.IsSortedFunc(grant.Sources, mesh.Identity.Compare) || !slices.IsSorted(grant.Ports) || slices.Contains(grant.Ports, 0) {
				t.Errorf("grant %+v", grant)
			}
			checkMatches(t, grant.HTTP)
		}
	}
}

// A target grants and never takes away; of accounts that it does not name it
// changes nothing.
func TestATargetOnlyAdds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objects := anyObjects(t)
		before, _ := Build(objects)
		meta := meta("another")
		meta.Namespace = anyOf(t, "namespace", namespaces...)
		added := anyTarget(t, meta)
		objects.TrafficTargets = append([]*accessv1alpha3.TrafficTarget{added}, objects.TrafficTargets...)
		now, _ := Build(objects)
		named := mesh.Identity{Namespace: added.Namespace, ServiceAccount: added.Spec.Destination.Name}
		for id, policy := range before.Policies.All() {
			if id != named {
				if diff := cmp.Diff(policy, now.Policies.Get(id)); diff != "" {
					t.Errorf("policy of %+v, which is not named (-before +now):\n%s", id, diff)
				}
				continue
			}
			for _, grant := range policy.Grants {
				kept := slices.ContainsFunc(now.Policies.Get(id).Grants, func(g mesh.Grant) bool { return cmp.Equal(g, grant) })
				if !kept {
					t.Errorf("grant %+v is gone", grant)
				}
			}
		}
	})
}
