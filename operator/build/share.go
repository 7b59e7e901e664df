package build

import (
	"fmt"
	"slices"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// share shares one port of the root among the backends that have it.
func (s *step) share(split *splitv1alpha4.TrafficSplit, port *mesh.Port, refs *problems) []mesh.Share {
	var shares []mesh.Share
	var weights []uint64
	for _, backend := range split.Spec.Backends {
		key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: split.Namespace, Name: backend.Service}, Port: port.Number}
		found, missing := s.backend(key, port.Protocol, backend.Weight > 0, refs)
		if !found {
			continue
		}
		shares = append(shares, mesh.Share{Backend: key, Missing: missing})
		weights = append(weights, uint64(backend.Weight))
	}
	for i, weight := range mesh.Scale(weights) {
		shares[i].Weight = weight
	}
	return shares
}

// backend judges one backend for one port: whether it has a share there, and
// whether that share is an error.
func (s *step) backend(key mesh.PortKey, root mesh.Protocol, weighs bool, refs *problems) (found, missing bool) {
	service := s.Builder.services[key.Service]
	if service == nil {
		refs.addf(heddlev1alpha1.ReasonBackendNotFound,
			"spec.backends: there is no Service %s with a TCP port, %s; create it", key.Service, lost(root, weighs, 500))
		return true, true
	}
	at := slices.IndexFunc(service.Ports, func(p *mesh.Port) bool { return p.Number == key.Port })
	switch {
	case at < 0:
		refs.addf(heddlev1alpha1.ReasonPortMismatch,
			"spec.backends: Service %s has no port %d, so it gets nothing of that port", key.Service, key.Port)
		return false, false
	case service.Ports[at].Protocol == mesh.ProtocolTCP && root != mesh.ProtocolTCP:
		refs.addf(heddlev1alpha1.ReasonPortMismatch,
			"spec.backends: port %d of Service %s is TCP and takes no requests, %s; set its appProtocol to http", key.Port, key.Service, lost(root, weighs, 500))
		return true, true
	case s.endpoints.Get(key) == nil && weighs:
		refs.addf(heddlev1alpha1.ReasonBackendNoEndpoints,
			"spec.backends: nothing is ready behind port %d of Service %s, %s; start a pod that its selector finds", key.Port, key.Service, lost(root, weighs, 503))
	}
	return true, false
}

// lost says what becomes of the share of a backend that takes nothing.
func lost(root mesh.Protocol, weighs bool, status int) string {
	switch {
	case !weighs:
		return "it has no share to lose"
	case root == mesh.ProtocolTCP:
		return "its share of the connections is closed"
	}
	return fmt.Sprintf("its share of the requests is answered with %d", status)
}
