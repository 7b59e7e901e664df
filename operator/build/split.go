package build

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// splits puts the routes of TrafficSplits on the ports of their roots. Of
// several splits on one root the oldest acts.
func (b *builder) splits() {
	ordered := slices.Clone(b.objects.TrafficSplits)
	slices.SortFunc(ordered, func(x, y *splitv1alpha4.TrafficSplit) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	taken := map[mesh.ServiceKey]string{}
	for _, split := range ordered {
		b.split(split, taken)
	}
}

func (b *builder) split(split *splitv1alpha4.TrafficSplit, taken map[mesh.ServiceKey]string) {
	ref := mesh.ObjectRef{
		Group: splitv1alpha4.GroupVersion.Group, Version: splitv1alpha4.GroupVersion.Version, Kind: "TrafficSplit",
		Namespace: split.Namespace, Name: split.Name, Generation: split.Generation,
	}
	rootKey := mesh.ServiceKey{Namespace: split.Namespace, Name: split.Spec.Service}
	if reason, message := refuseSplit(split); reason != "" {
		b.find(mesh.Finding{Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: reason, Message: message})
		return
	}
	if winner, ok := taken[rootKey]; ok {
		b.find(accepted(ref))
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionConflicted, OK: true, Reason: heddlev1alpha1.ReasonOlderSplit,
			Message: fmt.Sprintf("TrafficSplit %s is older and shares the traffic of Service %s; remove one of the two", winner, rootKey),
		})
		return
	}
	taken[rootKey] = split.Namespace + "/" + split.Name
	b.find(accepted(ref))

	root := b.snapshot.Services[rootKey]
	if root == nil {
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, Reason: heddlev1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("spec.service: there is no Service %s; create it or name another", rootKey),
		})
		return
	}
	reason, problems := "", []string(nil)
	for _, backend := range split.Spec.Backends {
		key := mesh.ServiceKey{Namespace: split.Namespace, Name: backend.Service}
		if b.snapshot.Services[key] == nil {
			reason = cmp.Or(reason, heddlev1alpha1.ReasonBackendNotFound)
			problems = append(problems, fmt.Sprintf(
				"there is no Service %s, its share of the requests is answered with 500; create it or set its weight to 0", key))
		}
	}
	routed := make([]*mesh.Port, 0, len(root.Ports))
	for _, port := range root.Ports {
		route, missing := b.route(split, port)
		for _, name := range missing {
			reason = cmp.Or(reason, heddlev1alpha1.ReasonPortMismatch)
			problems = append(problems, fmt.Sprintf("Service %s/%s has no port %d, so it gets nothing of that port", split.Namespace, name, port.Number))
		}
		with := *port
		with.Route = route
		routed = append(routed, &with)
	}
	b.snapshot.Services[rootKey] = &mesh.Service{Key: root.Key, Addresses: root.Addresses, Ports: routed}
	if len(problems) > 0 {
		b.find(mesh.Finding{
			Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, Reason: reason,
			Message: "spec.backends: " + strings.Join(problems, "; "),
		})
		return
	}
	b.find(resolved(ref))
}

func refuseSplit(split *splitv1alpha4.TrafficSplit) (reason, message string) {
	if len(split.Spec.Matches) > 0 {
		return heddlev1alpha1.ReasonUnsupported, "spec.matches: shares by match are not supported yet; remove the field to share all requests"
	}
	if len(split.Spec.Backends) == 0 {
		return heddlev1alpha1.ReasonNoBackends, "spec.backends: name at least one Service"
	}
	for i, backend := range split.Spec.Backends {
		if backend.Weight < 0 {
			return heddlev1alpha1.ReasonInvalidWeight,
				fmt.Sprintf("spec.backends[%d].weight: %d is negative; use 0 or more", i, backend.Weight)
		}
	}
	return "", ""
}

// route shares one port. Backends that exist but lack the port are left out
// and returned.
func (b *builder) route(split *splitv1alpha4.TrafficSplit, port *mesh.Port) (*mesh.Route, []string) {
	route := &mesh.Route{Origin: "TrafficSplit " + split.Namespace + "/" + split.Name}
	var missing []string
	var weights []uint64
	for _, backend := range split.Spec.Backends {
		key := mesh.ServiceKey{Namespace: split.Namespace, Name: backend.Service}
		service := b.snapshot.Services[key]
		if service != nil && !slices.ContainsFunc(service.Ports, func(p *mesh.Port) bool { return p.Number == port.Number }) {
			missing = append(missing, backend.Service)
			continue
		}
		route.Shares = append(route.Shares, mesh.Share{
			Backend: mesh.PortKey{Service: key, Port: port.Number},
			Missing: service == nil,
		})
		weights = append(weights, uint64(backend.Weight))
	}
	for i, weight := range Scale(weights) {
		route.Shares[i].Weight = weight
	}
	return route, missing
}

// Scale brings weights down until their sum fits WeightedCluster's limit of
// 2^32-1. Shares keep their proportion; one that is not zero does not become
// zero.
func Scale(weights []uint64) []uint32 {
	var sum, carry uint64
	for _, w := range weights {
		var c uint64
		sum, c = bits.Add64(sum, w, 0)
		carry += c
	}
	out := make([]uint32, len(weights))
	if carry == 0 && sum <= math.MaxUint32 {
		for i, w := range weights {
			out[i] = uint32(w)
		}
		return out
	}
	total := float64(sum) + float64(carry)*math.Pow(2, 64)
	// Room is left for every share that is rounded up.
	room := float64(math.MaxUint32 - uint32(min(len(weights), math.MaxUint16)))
	for i, w := range weights {
		if w > 0 {
			out[i] = max(1, uint32(float64(w)/total*room))
		}
	}
	return out
}

func accepted(ref mesh.ObjectRef) mesh.Finding {
	return mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionAccepted, OK: true,
		Reason: heddlev1alpha1.ReasonAccepted, Message: "part of the mesh's configuration",
	}
}

func resolved(ref mesh.ObjectRef) mesh.Finding {
	return mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, OK: true,
		Reason: heddlev1alpha1.ReasonResolvedRefs, Message: "everything it refers to exists",
	}
}
