package envoy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// probeRoutes admits the workload's probes of one kind. A probe never asks to
// speak another protocol: many an application lets one do so on every path, and
// what follows would be no probe any more.
func probeRoutes(w *mesh.Workload, overTLS bool, cluster string) []*routev3.Route {
	var routes []*routev3.Route
	for _, probe := range w.Probes {
		if probe.TLS != overTLS {
			continue
		}
		route := toApplication(probeMatch(probe), cluster)
		route.GetRoute().UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{
			{UpgradeType: upgradeWebSocket, Enabled: wrapperspb.Bool(false)},
		}
		routes = append(routes, route)
	}
	return routes
}

func probeMatch(probe mesh.Probe) *routev3.RouteMatch {
	return &routev3.RouteMatch{
		PathSpecifier: &routev3.RouteMatch_Path{Path: strings.SplitN(probe.Path, "?", 2)[0]},
		Headers: []*routev3.HeaderMatcher{
			exactHeader(":method", probe.Method),
			exactHeader(headerPort, strconv.Itoa(int(probe.Port))),
		},
	}
}

// noProbe keeps probes out of what is counted: a kubelet that asks every second would
// else be most of a quiet workload's requests, and all of them successes. Nil keeps
// out none.
func noProbe(w *mesh.Workload) *accesslogv3.AccessLogFilter {
	var all []*accesslogv3.AccessLogFilter
	for _, probe := range w.Probes {
		path, _, _ := strings.Cut(probe.Path, "?")
		var differs []*accesslogv3.AccessLogFilter
		for _, is := range []*routev3.HeaderMatcher{
			exactHeader(":method", probe.Method), exactHeader(headerPort, strconv.Itoa(int(probe.Port))),
			regexHeader(":path", regexp.QuoteMeta(path)+`(\?.*)?`),
		} {
			is.InvertMatch = true
			differs = append(differs, &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
				HeaderFilter: &accesslogv3.HeaderFilter{Header: is},
			}})
		}
		all = append(all, &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: differs}}})
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: all}}}
}

// tlsProbes returns the chain for probes over TLS, nil where there are none. It
// is for where not all TLS passes through to the application: whose the
// certificate is neither the kubelet nor a scraper asks, so the sidecar ends the
// TLS with its own, lets through what is a probe and speaks TLS to the
// application anew. Other TLS that names no protocol of the mesh ends here,
// too.
func tlsProbes(w *mesh.Workload) *listenerv3.FilterChain {
	if !slices.ContainsFunc(w.Probes, func(p mesh.Probe) bool { return p.TLS }) {
		return nil
	}
	hcm := withoutIdentity(w, "plaintext_tls")
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
		Name:             "probes",
		ValidateClusters: wrapperspb.Bool(false), // they come on demand
		VirtualHosts: []*routev3.VirtualHost{inboundHost(append(
			probeRoutes(w, true, InboundTLSCluster),
			directResponse(anyPath(), 403, "heddle: without a certificate of the mesh only probes are admitted\n"),
		)...)},
	}}
	own := commonTLS(nil, nil)
	own.ValidationContextType = nil
	return &listenerv3.FilterChain{
		Name:             "probes",
		FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "tls"},
		TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.DownstreamTlsContext{
				CommonTlsContext: own,
			})},
		},
		Filters: []*listenerv3.Filter{hcmFilter(hcm)},
	}
}

// InboundTLS returns the cluster by which probes reach an application that
// speaks TLS. As with those who ask them, whose certificate that is does not
// matter.
func InboundTLS() *clusterv3.Cluster {
	c := Inbound()
	c.Name = InboundTLSCluster
	c.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.UpstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{TlsParams: &tlsv3.TlsParameters{
				TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
				TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			}},
		})},
	}
	return c
}
