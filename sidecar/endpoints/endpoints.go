// Package endpoints makes cluster load assignments. They are apart from the
// other resources because they change most: a change of endpoints touches one
// assignment, which every proxy and both kinds of cluster share.
package endpoints

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
)

// Assignment returns the endpoints of a service port. A nil set gives an
// assignment without endpoints, so that the cluster does not wait.
func Assignment(key mesh.PortKey, set *mesh.EndpointSet) *endpointv3.ClusterLoadAssignment {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: envoy.Assignment(key)}
	if set == nil || len(set.Endpoints) == 0 {
		return assignment
	}
	group := &endpointv3.LocalityLbEndpoints{LbEndpoints: make([]*endpointv3.LbEndpoint, 0, len(set.Endpoints))}
	for _, e := range set.Endpoints {
		group.LbEndpoints = append(group.LbEndpoints, endpoint(e))
	}
	assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{group}
	return assignment
}

func endpoint(e mesh.Endpoint) *endpointv3.LbEndpoint {
	out := &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address:       e.Address.Addr().String(),
				PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(e.Address.Port())},
			}}},
		}},
		HealthStatus: corev3.HealthStatus_HEALTHY,
	}
	if e.State == mesh.EndpointDraining {
		out.HealthStatus = corev3.HealthStatus_DRAINING
	}
	if e.Meshed {
		out.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			envoy.SocketMatchSection: {Fields: map[string]*structpb.Value{
				envoy.MeshedKey: structpb.NewStringValue(envoy.MeshedValue),
			}},
		}}
	}
	return out
}
