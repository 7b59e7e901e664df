package envoy

import (
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Who may connect is settled by the TLS handshake. Envoy's RBAC filter would
// judge a connection by its first bytes, when the application has been
// connected to and what it says first has been passed on: to strangers, too.

// connectionPorts are those that differ from others in who may connect,
// ordered. The sidecar's own, which nobody reaches, are none of them.
func connectionPorts(policy *mesh.Policy) []uint16 {
	if !policy.Closed {
		return nil
	}
	var ports []uint16
	for _, grant := range policy.Grants {
		if admitsConnections(grant) {
			ports = append(ports, grant.Ports...)
		}
	}
	ports = slices.DeleteFunc(ports, func(port uint16) bool { return slices.Contains(ownPorts, port) })
	return sortedPorts(ports)
}

// connectionCallers are the SPIFFE ids of those who may connect to the port,
// with 0 to any. Nil stands for everybody of the mesh.
func connectionCallers(policy *mesh.Policy, port uint16, trustDomain string) []string {
	if !policy.Closed {
		return nil
	}
	var callers []mesh.Identity
	for _, grant := range policy.Grants {
		if admitsConnections(grant) && (len(grant.Ports) == 0 || slices.Contains(grant.Ports, port)) {
			callers = append(callers, grant.Sources...)
		}
	}
	slices.SortFunc(callers, mesh.Identity.Compare)
	return peerIDs(slices.Compact(callers), trustDomain)
}

// admitsConnections is false for grants that ask something of a request.
func admitsConnections(grant mesh.Grant) bool { return len(grant.HTTP) == 0 }

// afterHandshake proxies a connection once its caller is known.
func afterHandshake(w *mesh.Workload, prefix, cluster string) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.tcp_proxy", &tcpproxyv3.TcpProxy{
		AccessLog:           []*accesslogv3.AccessLog{connectionStats(w)},
		StatPrefix:          prefix,
		ClusterSpecifier:    &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster},
		UpstreamConnectMode: tcpproxyv3.UpstreamConnectMode_ON_DOWNSTREAM_TLS_HANDSHAKE,
		MaxEarlyDataBytes:   wrapperspb.UInt32(0),
		OnDemand:            &tcpproxyv3.TcpProxy_OnDemand{OdcdsConfig: ads(), Timeout: durationpb.New(onDemandTimeout)},
		IdleTimeout:         durationpb.New(0),
	})
}
