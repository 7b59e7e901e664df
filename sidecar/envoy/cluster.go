package envoy

import (
	"math"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// MeshedKey and MeshedValue mark an endpoint that is called by mutual TLS, in
// the metadata namespace that Cluster.transport_socket_matches reads.
const (
	MeshedKey          = "heddle"
	MeshedValue        = "mtls"
	SocketMatchSection = "envoy.transport_socket_match"
)

const connectTimeout = 5 * time.Second

// PortCluster returns the cluster of a service port: for requests under the
// name HTTPCluster gives, for connections under that of TCPCluster. Its
// endpoints come by EDS under Assignment.
func PortCluster(name string, http bool, key mesh.PortKey, ids []mesh.Identity, trustDomain string) *clusterv3.Cluster {
	alpn := alpnTCP
	if http {
		alpn = alpnHTTP
	}
	c := baseCluster(name, http)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{ServiceName: Assignment(key), EdsConfig: ads()}
	c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	// Endpoints that drain count as unhealthy; with any healthy one left they
	// get nothing new, and without one they are better than an error.
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 1}}
	c.IgnoreHealthOnHostRemoval = true
	c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
		{
			Name:            MeshedValue,
			Match:           &structpb.Struct{Fields: map[string]*structpb.Value{MeshedKey: structpb.NewStringValue(MeshedValue)}},
			TransportSocket: clientTLS(alpn, peerIDs(ids, trustDomain)),
		},
		{
			Name:  "plaintext",
			Match: &structpb.Struct{},
			TransportSocket: &corev3.TransportSocket{
				Name:       "envoy.transport_sockets.raw_buffer",
				ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&rawbufferv3.RawBuffer{})},
			},
		},
	}
	return c
}

// SplitCluster returns the cluster of connections to a service port that a
// split shares. Its endpoints are those of all backends, under SplitAssignment;
// ids are who may answer for any of them.
func SplitCluster(name string, http bool, key mesh.PortKey, ids []mesh.Identity, trustDomain string) *clusterv3.Cluster {
	c := PortCluster(name, http, key, ids, trustDomain)
	c.EdsClusterConfig.ServiceName = SplitAssignment(key)
	// Shares are in the endpoints' weights. Policies that look at how busy an
	// endpoint is would bend them.
	c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	return c
}

// PodCluster returns the cluster to one pod with a sidecar, dialled by its
// own address.
func PodCluster(name string, http bool, addr netip.AddrPort, id mesh.Identity, trustDomain string) *clusterv3.Cluster {
	alpn := alpnTCP
	if http {
		alpn = alpnHTTP
	}
	c := baseCluster(name, http)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	c.LoadAssignment = singleEndpoint(name, addr)
	c.TransportSocket = clientTLS(alpn, peerIDs([]mesh.Identity{id}, trustDomain))
	return c
}

// PassthroughCluster returns the cluster for a destination that is not of the
// mesh: the connection goes where the application meant it to go.
func PassthroughCluster(name string, http bool) *clusterv3.Cluster {
	c := baseCluster(name, http)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
	c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	return c
}

// ClosedCluster returns the cluster for a destination that is closed: nobody is
// there. Without a cluster only the first to call would be told so at once, and
// all others after onDemandTimeout.
func ClosedCluster(name string, http bool) *clusterv3.Cluster {
	c := baseCluster(name, http)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	return c
}

// Inbound returns the cluster that leads to the application in the pod. It
// binds to 127.0.0.6, by which the redirection knows that the connection has
// been through the sidecar.
func Inbound() *clusterv3.Cluster {
	c := PassthroughCluster(InboundCluster, true)
	c.UpstreamBindConfig = &corev3.BindConfig{SourceAddress: &corev3.SocketAddress{
		Address:       "127.0.0.6",
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
	}}
	return c
}

// ReadyCluster returns the cluster that the readiness check calls: the
// proxy's own ready listener by mutual TLS.
func ReadyCluster() *clusterv3.Cluster {
	c := baseCluster(Ready, true)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	c.LoadAssignment = singleEndpoint(Ready, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), heddlev1alpha1.PortReady))
	c.TransportSocket = clientTLS(alpnHTTP, nil)
	return c
}

func baseCluster(name string, http bool) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:           name,
		ConnectTimeout: durationpb.New(connectTimeout),
		// The mesh adds no limits of its own: Envoy's defaults would turn a
		// busy service's requests into errors.
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(math.MaxUint32),
			MaxPendingRequests: wrapperspb.UInt32(math.MaxUint32),
			MaxRequests:        wrapperspb.UInt32(math.MaxUint32),
			MaxRetries:         wrapperspb.UInt32(math.MaxUint32),
		}}},
	}
	if http {
		// The server is spoken to in the protocol the client spoke.
		options := &httpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
				UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
					HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		}
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(options),
		}
	}
	return c
}

func singleEndpoint(name string, addr netip.AddrPort) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: address(addr.Addr().String(), uint32(addr.Port())),
			}},
		}}}},
	}
}
