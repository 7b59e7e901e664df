package build

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// applyServices takes in what services are without splits.
func (s *step) applyServices(changes Of[*corev1.Service]) {
	for name, object := range changes {
		key := mesh.ServiceKey{Namespace: name.Namespace, Name: name.Name}
		var now *mesh.Service
		if object != nil && object.Spec.Type != corev1.ServiceTypeExternalName {
			now = serviceOf(object)
		}
		if now != nil && len(now.Ports) == 0 {
			now = nil
		}
		if reflect.DeepEqual(s.Builder.services[key], now) {
			continue
		}
		if now != nil {
			s.Builder.services[key] = now
		} else {
			delete(s.Builder.services, key)
		}
		s.staleEndpoints.add(key)
		s.staleRoots.add(key)
		s.staleRoots.addAll(s.rootsBehind.of(key))
	}
}

func serviceOf(service *corev1.Service) *mesh.Service {
	out := &mesh.Service{Key: mesh.ServiceKey{Namespace: service.Namespace, Name: service.Name}}
	for _, text := range service.Spec.ClusterIPs {
		// A headless service says "None".
		if addr, ok := parseAddr(text); ok {
			out.Addresses = append(out.Addresses, addr)
		}
	}
	for _, port := range service.Spec.Ports {
		if (port.Protocol != "" && port.Protocol != corev1.ProtocolTCP) || port.Port < 1 || port.Port > 65535 {
			continue
		}
		out.Ports = append(out.Ports, &mesh.Port{
			Key:      mesh.PortKey{Service: out.Key, Port: uint16(port.Port)},
			Number:   uint16(port.Port),
			Name:     port.Name,
			Protocol: protocolOf(port),
			Headless: len(out.Addresses) == 0,
		})
	}
	slices.SortFunc(out.Ports, func(x, y *mesh.Port) int { return cmp.Compare(x.Number, y.Number) })
	return out
}

// protocolOf goes by appProtocol, then the port name's prefix, then numbers
// on which servers are known to speak first or not to speak HTTP.
func protocolOf(port corev1.ServicePort) mesh.Protocol {
	if port.AppProtocol != nil {
		name := strings.ToLower(*port.AppProtocol)
		name = strings.TrimPrefix(name, "kubernetes.io/")
		if p, ok := protocols[name]; ok {
			return p
		}
		return mesh.ProtocolTCP
	}
	prefix, _, _ := strings.Cut(strings.ToLower(port.Name), "-")
	if p, ok := protocols[prefix]; ok {
		return p
	}
	if notHTTP[port.Port] {
		return mesh.ProtocolTCP
	}
	return mesh.ProtocolDetect
}

var protocols = map[string]mesh.Protocol{
	"http": mesh.ProtocolHTTP, "http2": mesh.ProtocolHTTP, "h2c": mesh.ProtocolHTTP, "grpc": mesh.ProtocolHTTP,
	"ws": mesh.ProtocolHTTP, "tcp": mesh.ProtocolTCP, "tls": mesh.ProtocolTCP, "https": mesh.ProtocolTCP,
	"wss": mesh.ProtocolTCP, "mysql": mesh.ProtocolTCP, "mongo": mesh.ProtocolTCP, "redis": mesh.ProtocolTCP,
	"postgres": mesh.ProtocolTCP, "postgresql": mesh.ProtocolTCP, "smtp": mesh.ProtocolTCP, "amqp": mesh.ProtocolTCP,
}

var notHTTP = map[int32]bool{25: true, 443: true, 587: true, 3306: true, 5432: true, 5672: true, 6379: true, 27017: true}
