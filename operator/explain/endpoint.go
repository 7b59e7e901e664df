package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// kind is what endpoints have in common that decide alike.
type kind struct {
	meshed   bool
	identity mesh.Identity
	workload mesh.WorkloadKey
	port     uint16
}

func (k kind) compare(o kind) int {
	return cmp.Or(k.identity.Compare(o.identity), cmp.Compare(k.workload.Name, o.workload.Name),
		cmp.Compare(k.workload.Variant, o.workload.Variant), cmp.Compare(k.port, o.port))
}

// kinds groups the endpoints that take the caller's new requests. One that
// drains does so only where no other is left.
func (e *explanation) kinds(set *mesh.EndpointSet) (order []kind, count map[kind]int) {
	count = map[kind]int{}
	callable := e.callable(set)
	for _, state := range []mesh.EndpointState{mesh.EndpointReady, mesh.EndpointDraining} {
		for _, endpoint := range callable {
			if endpoint.State == state {
				count[e.kindOf(endpoint)]++
			}
		}
		if len(count) > 0 {
			break
		}
	}
	for k := range count {
		order = append(order, k)
	}
	slices.SortFunc(order, kind.compare)
	return order, count
}

// callable leaves out the endpoints that the caller may not call at all, where
// there are others.
func (e *explanation) callable(set *mesh.EndpointSet) []mesh.Endpoint {
	if set == nil {
		return nil
	}
	if e.request.From.Outside {
		return set.Endpoints
	}
	kept := slices.DeleteFunc(slices.Clone(set.Endpoints), func(endpoint mesh.Endpoint) bool {
		policy := e.policy(endpoint.Identity)
		return endpoint.Meshed && policy.Closed && !slices.ContainsFunc(policy.Grants, func(g mesh.Grant) bool {
			return concerns(g, e.request.From.Identity, endpoint.Address.Port()) == ""
		})
	})
	if len(kept) == 0 {
		return set.Endpoints
	}
	return kept
}

func (e *explanation) kindOf(endpoint mesh.Endpoint) kind {
	k := kind{meshed: endpoint.Meshed, identity: endpoint.Identity, port: endpoint.Address.Port()}
	if pod := e.snapshot.PodsByIP.Get(endpoint.Address.Addr()); pod != nil && endpoint.Meshed {
		k.workload = pod.Workload
	}
	return k
}

// pod returns the kind of the pod that has the address.
func (e *explanation) pod(addr netip.AddrPort) (kind, bool) {
	pod := e.snapshot.PodsByIP.Get(addr.Addr())
	if pod == nil {
		return kind{}, false
	}
	return kind{meshed: pod.SidecarAt(addr.Port()), identity: pod.Identity, workload: pod.Workload, port: addr.Port()}, true
}

// verdict says what endpoints of the kind do with the request. http tells
// whether the mesh reads it as one.
func (e *explanation) verdict(k kind, count int, http bool) Verdict {
	v := Verdict{Endpoints: count, Port: k.port, Meshed: k.meshed, Path: e.request.Target}
	switch {
	case !k.meshed:
		v.Reason = "it has no sidecar, so no policy holds"
	case e.request.From.Outside:
		v.Identity = k.identity
		e.outsider(&v, k, http)
	default:
		v.Identity = k.identity
		e.member(&v, k, http)
	}
	if !http || v.Outcome != Admitted {
		v.Path = ""
	}
	return v
}

// outsider decides for callers without an identity.
func (e *explanation) outsider(v *Verdict, k kind, http bool) {
	workload := e.snapshot.Workloads.Get(k.workload)
	refused := Forbidden
	if !http {
		refused = Closed
	}
	switch {
	case e.request.TLS:
		e.outsiderOverTLS(v, k, workload)
	case workload != nil && http && slices.ContainsFunc(workload.Probes, func(p mesh.Probe) bool { return e.asks(p, k.port) }):
		v.Reason = "it is a probe of the pod, which always works"
	case workload != nil && workload.Strict:
		v.Outcome, v.Reason = refused, "mtls.mode is strict, and the caller has no certificate"
	case e.policy(k.identity).Closed:
		v.Outcome, v.Reason = refused, "access is closed, and no TrafficTarget admits callers without an identity"
	default:
		v.Reason = openReason
	}
}

// outsiderOverTLS decides for TLS that is none of the mesh. Where not all of it
// passes through to the application, a sidecar whose pod has a probe over TLS ends
// it to see what is asked.
func (e *explanation) outsiderOverTLS(v *Verdict, k kind, workload *mesh.Workload) {
	isTLS := func(p mesh.Probe) bool { return p.TLS }
	switch {
	case workload == nil || !workload.Strict && !e.policy(k.identity).Closed:
		v.Reason = "its own TLS passes through to the application, and " + openReason
	case !slices.ContainsFunc(workload.Probes, isTLS):
		v.Outcome, v.Reason = Closed, "TLS that is not the mesh's takes no part in a pod that is strict or closed, and the pod has no probe over TLS"
	case slices.ContainsFunc(workload.Probes, func(p mesh.Probe) bool { return e.asks(p, k.port) }):
		v.Reason = "it is a probe of the pod over TLS, which always works"
	default:
		v.Outcome, v.Reason = Forbidden, "of TLS without a certificate of the mesh only probes are admitted"
	}
}

const openReason = "access is open: no TrafficTarget names the destination, and its default is to allow"

// asks is true when the request is the probe: its method and, but for the
// query, its path, over TLS or not as the probe is. A probe never asks to speak
// another protocol.
func (e *explanation) asks(p mesh.Probe, port uint16) bool {
	if p.TLS != e.request.TLS || len(e.request.lines("upgrade")) > 0 {
		return false
	}
	want, _, _ := strings.Cut(p.Path, "?")
	got, _, _ := strings.Cut(e.request.Target, "?")
	return p.Port == port && p.Method == e.request.Method && got == want
}

// member decides for callers with an identity.
func (e *explanation) member(v *Verdict, k kind, http bool) {
	policy := e.policy(k.identity)
	if !policy.Closed {
		v.Reason = openReason
		return
	}
	path, _, _ := strings.Cut(e.request.Target, "?")
	request := e.request
	refused := Forbidden
	switch {
	case !http:
		refused, request.Protocol = Closed, TCP
	case policy.ReadsPaths():
		seen := normalise(e.request.Target)
		switch {
		case seen.Malformed != "":
			v.Outcome, v.Reason = BadRequest, seen.Malformed+", and rules look at paths here"
			return
		case seen.Hidden != "":
			v.Outcome, v.Reason = Forbidden, seen.Hidden+", and rules look at paths here"
			return
		}
		path, v.Path = seen.Path, seen.Target
	}
	for _, grant := range policy.Grants {
		match, why := admits(grant, request, k.port, path)
		if why == "" {
			v.Reason, v.Target, v.Match = "granted", grant.Origin, match
			return
		}
		v.Tried = append(v.Tried, cmp.Or(grant.Origin, "a grant")+": "+why)
	}
	v.Outcome = refused
	v.Reason = "access is closed, and no grant admits it"
}

func (e *explanation) policy(id mesh.Identity) *mesh.Policy {
	if policy := e.snapshot.Policies.Get(id); policy != nil {
		return policy
	}
	return &mesh.Policy{Destination: id, Closed: e.snapshot.DefaultPolicy(id.Namespace)}
}
