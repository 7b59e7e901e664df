package build

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

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
		b.find(refused(ref, reason, message))
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
	if reason, message := sharesNothing(split); reason != "" {
		b.find(refused(ref, reason, message))
	} else {
		b.find(accepted(ref))
	}
	var refs problems
	b.route(split, ref, &refs)
	b.find(refs.resolvedRefs(ref))
}

// refuseSplit says why a split has no effect at all.
func refuseSplit(split *splitv1alpha4.TrafficSplit) (reason, message string) {
	if len(split.Spec.Matches) > 0 {
		return heddlev1alpha1.ReasonUnsupported, "spec.matches: shares by match are not supported yet; remove the field to share all requests"
	}
	for i, backend := range split.Spec.Backends {
		if backend.Weight < 0 {
			return heddlev1alpha1.ReasonInvalidWeight,
				fmt.Sprintf("spec.backends[%d].weight: %d is negative; use 0 or more", i, backend.Weight)
		}
	}
	return "", ""
}

// sharesNothing says why a split answers every request with 503. Giving them
// to the root instead would undo what a weight of 0 says.
func sharesNothing(split *splitv1alpha4.TrafficSplit) (reason, message string) {
	switch {
	case len(split.Spec.Backends) == 0:
		return heddlev1alpha1.ReasonNoBackends, "spec.backends: every request is answered with 503; name at least one Service"
	case !slices.ContainsFunc(split.Spec.Backends, func(b splitv1alpha4.TrafficSplitBackend) bool { return b.Weight > 0 }):
		return heddlev1alpha1.ReasonAllWeightsZero, "spec.backends: every request is answered with 503; give one Service a weight above 0"
	}
	return "", ""
}

// route puts the split's shares on the ports of its root.
func (b *builder) route(split *splitv1alpha4.TrafficSplit, ref mesh.ObjectRef, refs *problems) {
	rootKey := mesh.ServiceKey{Namespace: split.Namespace, Name: split.Spec.Service}
	root := b.snapshot.Services[rootKey]
	if root == nil {
		refs.add(heddlev1alpha1.ReasonServiceNotFound, "spec.service: there is no Service %s with a TCP port; create it or name another", rootKey)
		return
	}
	routed := make([]*mesh.Port, 0, len(root.Ports))
	for _, port := range root.Ports {
		with := *port
		if port.Protocol == mesh.ProtocolTCP {
			refs.add(heddlev1alpha1.ReasonUnsupported,
				"spec.service: port %d is TCP, and connections are not shared: they go to the Service itself", port.Number)
		} else {
			with.Route = b.share(split, port, refs)
			b.usePort(ref, port.Key)
		}
		routed = append(routed, &with)
	}
	b.snapshot.Services[rootKey] = &mesh.Service{Key: root.Key, Addresses: root.Addresses, Ports: routed}
}

// share shares one port among the backends that have it.
func (b *builder) share(split *splitv1alpha4.TrafficSplit, port *mesh.Port, refs *problems) *mesh.Route {
	route := &mesh.Route{Origin: "TrafficSplit " + split.Namespace + "/" + split.Name}
	var weights []uint64
	for _, backend := range split.Spec.Backends {
		key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: split.Namespace, Name: backend.Service}, Port: port.Number}
		found, missing := b.backend(key, backend.Weight > 0, refs)
		if !found {
			continue
		}
		route.Shares = append(route.Shares, mesh.Share{Backend: key, Missing: missing})
		weights = append(weights, uint64(backend.Weight))
	}
	for i, weight := range Scale(weights) {
		route.Shares[i].Weight = weight
	}
	return route
}

// backend judges one backend for one port: whether it has a share there, and
// whether that share is an error.
func (b *builder) backend(key mesh.PortKey, weighs bool, refs *problems) (found, missing bool) {
	consequence := "it has no share to lose"
	if weighs {
		consequence = "its share of the requests is answered with 500"
	}
	service := b.snapshot.Services[key.Service]
	if service == nil {
		refs.add(heddlev1alpha1.ReasonBackendNotFound,
			"spec.backends: there is no Service %s with a TCP port, %s; create it", key.Service, consequence)
		return true, true
	}
	at := slices.IndexFunc(service.Ports, func(p *mesh.Port) bool { return p.Number == key.Port })
	switch {
	case at < 0:
		refs.add(heddlev1alpha1.ReasonPortMismatch,
			"spec.backends: Service %s has no port %d, so it gets nothing of that port", key.Service, key.Port)
		return false, false
	case service.Ports[at].Protocol == mesh.ProtocolTCP:
		refs.add(heddlev1alpha1.ReasonPortMismatch,
			"spec.backends: port %d of Service %s is TCP and takes no requests, %s; set its appProtocol to http", key.Port, key.Service, consequence)
		return true, true
	}
	return true, false
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
	room := float64(math.MaxUint32 - len(weights))
	for i, w := range weights {
		if w > 0 {
			out[i] = max(1, uint32(float64(w)/total*room))
		}
	}
	return out
}
