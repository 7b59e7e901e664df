package envoy

import (
	"net/netip"
	"slices"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

const (
	// onDemandTimeout bounds how long a first request waits for its cluster.
	onDemandTimeout = 5 * time.Second
	// inspectTimeout bounds how long a server-first protocol on a port that
	// declares nothing waits for a client that says nothing.
	inspectTimeout = 500 * time.Millisecond
	// outboundInspectTimeout is longer: a client that is late with its first
	// request would be taken for one that speaks no HTTP.
	outboundInspectTimeout = 5 * time.Second
	// hostsTimeout lets the listener open when there are no virtual hosts.
	hostsTimeout = 50 * time.Millisecond
)

// OutboundPorts tells which destinations must not be inspected.
type OutboundPorts struct {
	// TCP are port numbers that a Service declares as something other than
	// HTTP, ordered.
	TCP []uint16
	// HTTP are the addresses that may speak HTTP on one of the TCP numbers.
	HTTP []netip.AddrPort
}

// OutboundListener returns the one listener that takes every connection the
// application makes. It names no destination but those in ports.HTTP.
func OutboundListener(ports OutboundPorts) *listenerv3.Listener {
	inspector := &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.http_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&httpinspectorv3.HttpInspector{})},
	}
	if len(ports.TCP) > 0 {
		inspector.FilterDisabled = portsPredicate(ports.TCP)
	}
	l := &listenerv3.Listener{
		Name:             Outbound,
		Address:          address("0.0.0.0", heddlev1alpha1.PortOutbound),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		ListenerFilters: []*listenerv3.ListenerFilter{
			{
				Name:       "envoy.filters.listener.original_dst",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&originaldstv3.OriginalDst{})},
			},
			inspector,
		},
		ListenerFiltersTimeout:           durationpb.New(outboundInspectTimeout),
		ContinueOnListenerFiltersTimeout: true,
		FilterChains: []*listenerv3.FilterChain{{
			Name:             "http",
			FilterChainMatch: &listenerv3.FilterChainMatch{ApplicationProtocols: plaintextHTTP},
			Filters:          []*listenerv3.Filter{hcmFilter(outboundHTTP())},
		}},
		DefaultFilterChain: &listenerv3.FilterChain{Name: "tcp", Filters: outboundTCP()},
	}
	for _, addr := range ports.HTTP {
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name: "http/" + addr.String(),
			FilterChainMatch: &listenerv3.FilterChainMatch{
				DestinationPort: wrapperspb.UInt32(uint32(addr.Port())),
				PrefixRanges: []*corev3.CidrRange{{
					AddressPrefix: addr.Addr().String(),
					PrefixLen:     wrapperspb.UInt32(uint32(addr.Addr().BitLen())),
				}},
			},
			Filters: []*listenerv3.Filter{hcmFilter(outboundHTTP())},
		})
	}
	return l
}

// plaintextHTTP is what the HTTP inspector finds.
var plaintextHTTP = []string{"http/1.0", "http/1.1", "h2c"}

func portsPredicate(ports []uint16) *listenerv3.ListenerFilterChainMatchPredicate {
	rules := make([]*listenerv3.ListenerFilterChainMatchPredicate, 0, len(ports))
	for _, port := range ports {
		rules = append(rules, &listenerv3.ListenerFilterChainMatchPredicate{
			Rule: &listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange{
				DestinationPortRange: &typev3.Int32Range{Start: int32(port), End: int32(port) + 1},
			},
		})
	}
	if len(rules) == 1 {
		return rules[0]
	}
	return &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_OrMatch{
		OrMatch: &listenerv3.ListenerFilterChainMatchPredicate_MatchSet{Rules: rules},
	}}
}

func outboundHTTP() *hcmv3.HttpConnectionManager {
	hcm := baseHCM("outbound")
	hcm.RouteSpecifier = rds(Outbound)
	hcm.EarlyHeaderMutationExtensions = earlyHeaders(
		setHeader(HeaderDestination, "%DOWNSTREAM_LOCAL_ADDRESS%"),
		setHeader(headerCluster, directPrefix+"%DOWNSTREAM_LOCAL_ADDRESS%"),
	)
	hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE
	hcm.HttpFilters = []*hcmv3.HttpFilter{onDemandFilter(), routerFilter()}
	return hcm
}

func outboundTCP() []*listenerv3.Filter {
	return []*listenerv3.Filter{
		networkFilter("envoy.filters.network.set_filter_state", &setfilterstatev3.Config{
			OnNewConnection: []*filterstatev3.FilterStateValue{{
				Key: &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: "envoy.tcp_proxy.cluster"},
				Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
					Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
						Specifier: &corev3.DataSource_InlineString{InlineString: tcpPrefix + "%DOWNSTREAM_LOCAL_ADDRESS%"},
					}},
				}},
			}},
		}),
		tcpProxy("outbound_tcp", "unknown"),
	}
}

func tcpProxy(prefix, cluster string, logs ...*accesslogv3.AccessLog) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.tcp_proxy", &tcpproxyv3.TcpProxy{
		StatPrefix:       prefix,
		AccessLog:        logs,
		ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster},
		OnDemand:         &tcpproxyv3.TcpProxy_OnDemand{OdcdsConfig: ads(), Timeout: durationpb.New(onDemandTimeout)},
		// A connection may be silent for as long as its ends like.
		IdleTimeout: durationpb.New(0),
	})
}

// notOnDemand keeps requests from asking for a cluster that there is not. Only
// the first to ask is answered; others would wait for onDemandTimeout.
func notOnDemand() map[string]*anypb.Any {
	return map[string]*anypb.Any{filterOnDemand: typed(&ondemandv3.PerRouteConfig{})}
}

const filterOnDemand = "envoy.filters.http.on_demand"

func onDemandFilter() *hcmv3.HttpFilter {
	return httpFilter(filterOnDemand, &ondemandv3.OnDemand{
		Odcds: &ondemandv3.OnDemandCds{Source: ads(), Timeout: durationpb.New(onDemandTimeout)},
	})
}

// OutboundRoutes returns the route configuration whose virtual hosts are
// picked by original destination and come one by one. What no virtual host
// covers is asked for by address.
func OutboundRoutes() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name:         Outbound,
		VhostHeader:  HeaderDestination,
		Vhds:         &routev3.Vhds{ConfigSource: adsWaiting(hostsTimeout)},
		VirtualHosts: []*routev3.VirtualHost{outboundHost(Outbound+"/*", "*", dialledRoute())},
	}
}

func outboundHost(name, domain string, routes ...*routev3.Route) *routev3.VirtualHost {
	return &routev3.VirtualHost{
		Name:                    name,
		Domains:                 []string{domain},
		Routes:                  routes,
		RequestHeadersToRemove:  []string{HeaderDestination, headerCluster},
		ResponseHeadersToRemove: []string{headerRetriable},
		// The other side's sidecar marks some answers at the first attempt only.
		IncludeRequestAttemptCount: true,
	}
}

// sortedPorts returns the numbers ordered, each once.
func sortedPorts(ports []uint16) []uint16 {
	out := slices.Clone(ports)
	slices.Sort(out)
	return slices.Compact(out)
}
