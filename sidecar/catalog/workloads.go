package catalog

import (
	"fmt"
	"iter"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// workloads makes the inbound side of groups of pods, and what is for all pods
// of an identity.
func (s *step) workloads() {
	old, now := s.old.snapshot, s.next.snapshot
	workloads, ids := set[mesh.WorkloadKey]{}, set[mesh.Identity]{}
	for key := range mesh.Changed(old.Workloads, now.Workloads) {
		workloads.add(key)
		if before := old.Workloads.Get(key); before != nil {
			s.next.residents.remove(before.Identity, key)
			ids.add(before.Identity)
		}
		if after := now.Workloads.Get(key); after != nil {
			s.next.residents.add(after.Identity, key)
			ids.add(after.Identity)
		}
	}
	for id := range ids {
		if s.old.residents.any(id) == s.next.residents.any(id) {
			delete(ids, id)
		}
	}
	for id := range s.repoliced(s.next.residents.of.Keys()) {
		if s.next.residents.any(id) {
			ids.add(id)
			workloads.addAll(s.next.residents.with(id))
		}
	}
	for id := range ids {
		if !s.next.residents.any(id) {
			s.drop(xds.TypeRoutes, envoy.InboundRoutes(id))
			continue
		}
		s.put(xds.TypeRoutes, envoy.InboundRoutes(id), "TrafficTargets for ServiceAccount "+id.Namespace+"/"+id.ServiceAccount,
			envoy.IdentityRoutes(policyOf(now, id), now.Settings.TrustDomain))
	}
	for key := range workloads {
		workload := now.Workloads.Get(key)
		if workload == nil {
			s.drop(xds.TypeListener, envoy.InboundListener(key))
			s.drop(xds.TypeRoutes, envoy.PlaintextRoutes(key))
			continue
		}
		origin, policy := fmt.Sprintf("%s %s/%s", key.Kind, key.Namespace, key.Name), policyOf(now, workload.Identity)
		s.put(xds.TypeListener, envoy.InboundListener(key), origin, envoy.WorkloadListener(workload, policy, now.Settings.TrustDomain))
		s.put(xds.TypeRoutes, envoy.PlaintextRoutes(key), origin, envoy.PlaintextAccess(workload, policy))
	}
}

// policies notes the assignments that policies let some clients have otherwise.
func (s *step) policies() {
	for id := range s.repoliced(s.next.callees.of.Keys()) {
		s.narrowed.addAll(s.next.callees.with(id))
	}
}

// repoliced yields the identities whose policy is another than before. Those that
// have none of their own are looked for among the given ones, and only where a
// namespace's access has changed.
func (s *step) repoliced(all iter.Seq[mesh.Identity]) iter.Seq[mesh.Identity] {
	return func(yield func(mesh.Identity) bool) {
		old, now := s.old.snapshot, s.next.snapshot
		for id := range mesh.Changed(old.Policies, now.Policies) {
			if !yield(id) {
				return
			}
		}
		namespaces := set[string]{}
		namespaces.addAll(mesh.Changed(old.NamespaceAccess, now.NamespaceAccess))
		if len(namespaces) == 0 {
			return
		}
		for id := range all {
			if _, ok := namespaces[id.Namespace]; ok && now.Policies.Get(id) == nil && !yield(id) {
				return
			}
		}
	}
}

func policyOf(snapshot *mesh.Snapshot, id mesh.Identity) *mesh.Policy {
	if policy := snapshot.Policies.Get(id); policy != nil {
		return policy
	}
	return &mesh.Policy{Destination: id, Closed: snapshot.DefaultPolicy(id.Namespace)}
}
