package bootstrap

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	healthcheckv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// The two steps of answering ReadyPath have to end before kubelet's probe
// gives up, 2 s after it asked.
const (
	readyFetchTimeout = 800 * time.Millisecond
	readyTimeout      = time.Second
)

// statsListener passes exactly one request on to the admin interface.
func (b *builder) statsListener() *listenerv3.Listener {
	return b.listener("stats", heddlev1alpha1.PortStats, &hcmv3.HttpConnectionManager{
		HttpFilters: []*hcmv3.HttpFilter{b.router()},
		RouteSpecifier: routes("stats", &routev3.Route{
			Match: get(heddlev1alpha1.StatsPath),
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: ClusterAdmin},
				Timeout:          durationpb.New(10 * time.Second),
			}},
		}),
	})
}

// healthListener answers probes. ReadyPath goes to a cluster that exists only
// when the operator has delivered it, which a proxy asks for with the first
// probe; until then, and if the cluster can't be reached, the answer is 503.
func (b *builder) healthListener(tcpPorts []uint16) *listenerv3.Listener {
	filters := make([]*hcmv3.HttpFilter, 0, len(tcpPorts)+2)
	for _, port := range tcpPorts {
		filters = append(filters, b.tcpProbe(port))
	}
	filters = append(filters,
		b.httpFilter("envoy.filters.http.on_demand", &ondemandv3.OnDemand{Odcds: &ondemandv3.OnDemandCds{
			Source:  ads(nil),
			Timeout: durationpb.New(readyFetchTimeout),
		}}),
		b.router(),
	)
	return b.listener("health", heddlev1alpha1.PortHealth, &hcmv3.HttpConnectionManager{
		HttpFilters: filters,
		RouteSpecifier: routes("health", &routev3.Route{
			Match: get(ReadyPath),
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier:            &routev3.RouteAction_Cluster{Cluster: ClusterReady},
				ClusterNotFoundResponseCode: routev3.RouteAction_SERVICE_UNAVAILABLE,
				Timeout:                     durationpb.New(readyTimeout),
			}},
		}),
	})
}

// tcpProbe answers from the health of a port's cluster and asks nobody.
func (b *builder) tcpProbe(port uint16) *hcmv3.HttpFilter {
	return b.httpFilter(fmt.Sprintf("tcp_probe_%d", port), &healthcheckv3.HealthCheck{
		PassThroughMode:              wrapperspb.Bool(false),
		ClusterMinHealthyPercentages: map[string]*typev3.Percent{ClusterProbe(port): {Value: 100}},
		Headers: []*routev3.HeaderMatcher{
			header(":method", "GET"),
			header(":path", fmt.Sprintf("%s%d", heddlev1alpha1.TCPProbePath, port)),
		},
	})
}

// listener is a plain HTTP listener on all addresses of the pod. It works
// under overload too, so that overload doesn't look like a failure to kubelet
// or blind Prometheus.
func (b *builder) listener(name string, port uint16, hcm *hcmv3.HttpConnectionManager) *listenerv3.Listener {
	hcm.StatPrefix = name
	hcm.CodecType = hcmv3.HttpConnectionManager_HTTP1
	hcm.MaxRequestHeadersKb = wrapperspb.UInt32(8)
	hcm.GenerateRequestId = wrapperspb.Bool(false)
	hcm.RequestHeadersTimeout = durationpb.New(5 * time.Second)
	hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout:     durationpb.New(90 * time.Second),
		MaxHeadersCount: wrapperspb.UInt32(50),
	}
	return &listenerv3.Listener{
		Name:                          name,
		Address:                       socketAddress("0.0.0.0", port),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(32768),
		IgnoreGlobalConnLimit:         true,
		BypassOverloadManager:         true,
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(hcm)},
			}},
		}},
	}
}

// routes serves one route and answers everything else with 404.
func routes(name string, only *routev3.Route) *hcmv3.HttpConnectionManager_RouteConfig {
	return &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
		Name:             name,
		ValidateClusters: wrapperspb.Bool(false), // some are delivered later
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    name,
			Domains: []string{"*"},
			Routes: []*routev3.Route{only, {
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 404}},
			}},
		}},
	}}
}

// get matches GET on exactly that path, without a query.
func get(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{
		PathSpecifier: &routev3.RouteMatch_Path{Path: path},
		Headers:       []*routev3.HeaderMatcher{header(":method", "GET"), header(":path", path)},
	}
}

func header(name, exact string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{
		Name: name,
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: exact},
		}},
	}
}

func (b *builder) router() *hcmv3.HttpFilter {
	return b.httpFilter("envoy.filters.http.router", &routerv3.Router{})
}

func (b *builder) httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.any(config)}}
}
