package bootstrap

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnscommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// passSource is the address from which the sidecar dials the app, which
// redirection leaves alone.
const passSource = "127.0.0.6"

// probeInterval is how often a port with a tcpSocket probe is dialled.
const probeInterval = time.Second

// ClusterProbe names the cluster whose health is that of a TCP port.
func ClusterProbe(port uint16) string { return fmt.Sprintf("probe_tcp_%d", port) }

// xds is the operator, known by its certificate and told the pod's token.
// Both the roots and the token come from watched files through SDS, because
// Envoy reads a file that the bootstrap names directly only once.
func (b *builder) xds(s Settings) *clusterv3.Cluster {
	host, port, err := SplitAddress(s.XDSAddress)
	if err != nil && b.err == nil {
		b.err = err
	}
	return &clusterv3.Cluster{
		Name: ClusterXDS,
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: "envoy.cluster.dns",
			TypedConfig: b.any(&dnsv3.DnsCluster{
				DnsLookupFamily: dnscommonv3.DnsLookupFamily_V4_PREFERRED,
				DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
					BaseInterval: durationpb.New(500 * time.Millisecond),
					MaxInterval:  durationpb.New(5 * time.Second),
				},
			}),
		}},
		ConnectTimeout: durationpb.New(2 * time.Second),
		LoadAssignment: assignment(ClusterXDS, socketAddress(host, port)),
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{
			TcpKeepalive: &corev3.TcpKeepalive{KeepaliveTime: wrapperspb.UInt32(60)},
		},
		TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&tlsv3.UpstreamTlsContext{
				Sni:              s.XDSServerName,
				CommonTlsContext: xdsTLS(s.XDSServerName),
			})},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": b.any(b.xdsProtocol()),
		},
	}
}

func xdsTLS(serverName string) *tlsv3.CommonTlsContext {
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols: []string{"h2"},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: &tlsv3.CertificateValidationContext{
					MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
						SanType: tlsv3.SubjectAltNameMatcher_DNS,
						Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: serverName}},
					}},
				},
				ValidationContextSdsSecretConfig: fileSecret(secretXDSCA, XDSCAFile),
			},
		},
	}
}

func (b *builder) xdsProtocol() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(30 * time.Second),
							Timeout:  durationpb.New(5 * time.Second),
						},
					},
				},
			},
		},
		HttpFilters: []*hcmv3.HttpFilter{
			b.httpFilter("envoy.filters.http.credential_injector", &credentialv3.CredentialInjector{
				Overwrite: true,
				Credential: &corev3.TypedExtensionConfig{
					Name: "envoy.http.injected_credentials.generic",
					TypedConfig: b.any(&genericv3.Generic{
						HeaderValuePrefix: "Bearer ",
						Credential:        fileSecret(secretToken, TokenFile),
					}),
				},
			}),
			b.httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}), // must be last
		},
	}
}

func admin() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 ClusterAdmin,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(time.Second),
		LoadAssignment:       assignment(ClusterAdmin, adminAddress()),
	}
}

// passthrough goes where the app wanted to go. It holds no endpoints of its
// own and forgets those that aren't used.
func passthrough() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          ClusterPassthrough,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:                      clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:                durationpb.New(5 * time.Second),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(32768),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections:     wrapperspb.UInt32(1 << 30),
			MaxPendingRequests: wrapperspb.UInt32(1 << 30),
			MaxRequests:        wrapperspb.UInt32(1 << 30),
		}}},
	}
}

// probeClusters dial the app as kubelet would have: at the pod's address, so
// that an app that listens only on 127.0.0.1 fails its probe as it does
// without a mesh. The source address keeps the connection from being
// redirected to the sidecar's own listener, which would always accept.
func probeClusters(p Params) []*clusterv3.Cluster {
	out := make([]*clusterv3.Cluster, 0, len(p.Settings.TCPProbePorts))
	for _, port := range p.Settings.TCPProbePorts {
		name := ClusterProbe(port)
		every := durationpb.New(probeInterval)
		out = append(out, &clusterv3.Cluster{
			Name:                 name,
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
			ConnectTimeout:       durationpb.New(time.Second),
			LoadAssignment:       assignment(name, socketAddress(p.PodIP.String(), port)),
			UpstreamBindConfig:   &corev3.BindConfig{SourceAddress: &corev3.SocketAddress{Address: passSource, PortSpecifier: &corev3.SocketAddress_PortValue{}}},
			HealthChecks: []*corev3.HealthCheck{{
				Timeout:            durationpb.New(time.Second),
				Interval:           every,
				NoTrafficInterval:  every, // there is never traffic; the default would be 60 s
				UnhealthyThreshold: wrapperspb.UInt32(1),
				HealthyThreshold:   wrapperspb.UInt32(1),
				HealthChecker:      &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}},
			}},
		})
	}
	return out
}

func assignment(cluster string, address *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
		}}}},
	}
}

func socketAddress(host string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
