package envoy

import (
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

const (
	filterRBAC           = "envoy.filters.http.rbac"
	filterHeaderMutation = "envoy.filters.http.header_mutation"
)

// ownPorts are those of the sidecar's that are for the pod itself.
var ownPorts = []uint16{heddlev1alpha1.PortOutbound, heddlev1alpha1.PortInbound, heddlev1alpha1.PortReady}

// WorkloadListener returns the listener for everything that comes to a
// workload's pods. It names no pod: the connection goes on to where the
// caller sent it. Its own name is the same in every proxy, unlike that of the
// resource: when a pod comes to belong to another workload, the one listener
// takes over the sockets of the other, where two by two names would contend
// for the port.
func WorkloadListener(w *mesh.Workload, policy *mesh.Policy, trustDomain string) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:             inbound,
		Address:          address("0.0.0.0", heddlev1alpha1.PortInbound),
		TrafficDirection: corev3.TrafficDirection_INBOUND,
		ListenerFilters: []*listenerv3.ListenerFilter{
			{
				Name:       "envoy.filters.listener.original_dst",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&originaldstv3.OriginalDst{})},
			},
			{
				Name:       "envoy.filters.listener.tls_inspector",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&tlsinspectorv3.TlsInspector{})},
			},
			{
				Name:       "envoy.filters.listener.http_inspector",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(&httpinspectorv3.HttpInspector{})},
			},
		},
		ListenerFiltersTimeout:           durationpb.New(inspectTimeout),
		ContinueOnListenerFiltersTimeout: true,
	}
	l.FilterChains = inboundChains(w, policy, 0, trustDomain)
	// What a chain for one port takes no other gets, so each of these ports has
	// all of them.
	for _, port := range connectionPorts(policy) {
		l.FilterChains = append(l.FilterChains, inboundChains(w, policy, port, trustDomain)...)
	}
	// The sidecar's own ports lead nowhere from outside: a connection to one
	// of them would come back to the sidecar without end.
	for _, port := range ownPorts {
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name:             "own/" + strconv.Itoa(int(port)),
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(uint32(port))},
			Filters:          []*listenerv3.Filter{networkFilter("envoy.filters.network.rbac", nobody()), tcpProxy("inbound_tcp", InboundCluster)},
		})
	}
	// What is neither of the mesh nor HTTP can't be told apart by policy: it
	// passes where everything does, else no chain takes it but that of probes.
	if !w.Strict && !policy.Closed {
		l.DefaultFilterChain = &listenerv3.FilterChain{Name: "passthrough", Filters: []*listenerv3.Filter{
			tcpProxy("inbound_tcp", InboundCluster, connectionStats(w)),
		}}
	}
	return l
}

// inboundChains are those for one port, or with 0 for all that have none of
// their own.
func inboundChains(w *mesh.Workload, policy *mesh.Policy, port uint16, trustDomain string) []*listenerv3.FilterChain {
	chains := []*listenerv3.FilterChain{
		{
			Name: "mesh",
			FilterChainMatch: &listenerv3.FilterChainMatch{
				TransportProtocol:    "tls",
				ApplicationProtocols: []string{alpnHTTP},
			},
			TransportSocket: serverTLS(nil),
			Filters:         []*listenerv3.Filter{hcmFilter(meshHTTP(w, policy))},
		},
		{
			Name: "mesh-tcp",
			FilterChainMatch: &listenerv3.FilterChainMatch{
				TransportProtocol:    "tls",
				ApplicationProtocols: []string{alpnTCP},
			},
			TransportSocket: serverTLS(connectionCallers(policy, port, trustDomain)),
			Filters:         []*listenerv3.Filter{afterHandshake(w, "inbound_tcp", InboundCluster)},
		},
		{
			Name: "plaintext",
			FilterChainMatch: &listenerv3.FilterChainMatch{
				TransportProtocol:    "raw_buffer",
				ApplicationProtocols: plaintextHTTP,
			},
			Filters: []*listenerv3.Filter{hcmFilter(plaintext(w))},
		},
	}
	if w.Strict || policy.Closed {
		if chain := tlsProbes(w); chain != nil {
			chains = append(chains, chain)
		}
	}
	if port > 0 {
		for _, chain := range chains {
			chain.Name += "/" + strconv.Itoa(int(port))
			chain.FilterChainMatch.DestinationPort = wrapperspb.UInt32(uint32(port))
		}
	}
	return chains
}

func nobody() *networkrbacv3.RBAC {
	return &networkrbacv3.RBAC{StatPrefix: "own", Rules: &rbacconfigv3.RBAC{Action: rbacconfigv3.RBAC_ALLOW}}
}

// meshHTTP serves callers with a certificate. Who may do what is in the
// routes, so that a change of policy leaves connections alone. A request that
// never reached the application is marked, so that the caller's side can try
// elsewhere.
func meshHTTP(w *mesh.Workload, policy *mesh.Policy) *hcmv3.HttpConnectionManager {
	hcm := inboundHCM(w, "inbound")
	hcm.RouteSpecifier = rds(InboundRoutes(w.Identity))
	hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	hcm.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Uri: true}
	if policy.ReadsPaths() {
		hcm.NormalizePath = wrapperspb.Bool(true)
		hcm.MergeSlashes = true
		hcm.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_REJECT_REQUEST
	}
	hcm.HttpFilters = []*hcmv3.HttpFilter{
		httpFilter(filterHeaderMutation, &headermutationv3.HeaderMutation{}),
		// Without a word from the routes nobody is admitted.
		httpFilter(filterRBAC, &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{Action: rbacconfigv3.RBAC_ALLOW}}),
		onDemandFilter(),
		routerFilter(),
	}
	return hcm
}

func plaintext(w *mesh.Workload) *hcmv3.HttpConnectionManager {
	hcm := withoutIdentity(w, "plaintext")
	hcm.RouteSpecifier = rds(PlaintextRoutes(w.Key))
	return hcm
}

// withoutIdentity serves callers without a certificate; its routes can tell
// the port.
func withoutIdentity(w *mesh.Workload, prefix string) *hcmv3.HttpConnectionManager {
	hcm := inboundHCM(w, prefix)
	hcm.AccessLog[0].Filter = noProbe(w)
	hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE
	hcm.EarlyHeaderMutationExtensions = earlyHeaders(setHeader(headerPort, "%DOWNSTREAM_LOCAL_PORT%"))
	hcm.HttpFilters = []*hcmv3.HttpFilter{onDemandFilter(), routerFilter()}
	return hcm
}

func inboundHCM(w *mesh.Workload, prefix string) *hcmv3.HttpConnectionManager {
	hcm := baseHCM(prefix)
	hcm.AccessLog = []*accesslogv3.AccessLog{requestStats(w)}
	hcm.LocalReplyConfig = &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{retriable()}}
	return hcm
}

// IdentityRoutes returns what callers with a certificate may do to the pods
// of one service account.
func IdentityRoutes(policy *mesh.Policy, trustDomain string) *routev3.RouteConfiguration {
	host := inboundHost(toApplication(anyPath(), InboundCluster))
	host.TypedPerFilterConfig = map[string]*anypb.Any{
		filterRBAC: typed(&rbacv3.RBACPerRoute{Rbac: httpRBAC(policy, trustDomain)}),
	}
	if policy.ReadsPaths() {
		host.TypedPerFilterConfig[filterHeaderMutation] = typed(&headermutationv3.HeaderMutationPerRoute{
			Mutations: &headermutationv3.Mutations{RequestMutations: []*mutationv3.HeaderMutation{
				setHeader(headerPath, "%PATH(NQ:PATH)%"),
			}},
		})
	}
	return &routev3.RouteConfiguration{Name: InboundRoutes(policy.Destination), VirtualHosts: []*routev3.VirtualHost{host}}
}

// PlaintextAccess returns what callers without a certificate may do to a
// workload: probes always, the rest where neither mode nor policy forbids it.
func PlaintextAccess(w *mesh.Workload, policy *mesh.Policy) *routev3.RouteConfiguration {
	var routes []*routev3.Route
	switch {
	case w.Strict:
		routes = append(probeRoutes(w, false, InboundCluster),
			directResponse(anyPath(), 403, "heddle: plaintext is refused here; call from a pod of the mesh\n"))
	case policy.Closed:
		routes = append(probeRoutes(w, false, InboundCluster),
			directResponse(anyPath(), 403, "heddle: no TrafficTarget admits callers without an identity\n"))
	default:
		routes = append(routes, toApplication(anyPath(), InboundCluster))
	}
	return &routev3.RouteConfiguration{
		Name:         PlaintextRoutes(w.Key),
		VirtualHosts: []*routev3.VirtualHost{inboundHost(routes...)},
	}
}

func inboundHost(routes ...*routev3.Route) *routev3.VirtualHost {
	return &routev3.VirtualHost{
		Name:                    "application",
		Domains:                 []string{"*"},
		Routes:                  routes,
		RequestHeadersToRemove:  []string{headerPath, headerPort},
		ResponseHeadersToRemove: []string{headerRetriable},
	}
}

func toApplication(match *routev3.RouteMatch, cluster string) *routev3.Route {
	return &routev3.Route{Match: match, Action: &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
		Timeout:          durationpb.New(0),
	}}}
}

func exactHeader(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
	}}
}

// ReadyListener answers the readiness check, over mutual TLS with the proxy's
// own certificate: it answers only when that is there.
func ReadyListener() *listenerv3.Listener {
	hcm := baseHCM("ready")
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
		Name: Ready,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: Ready, Domains: []string{"*"},
			Routes: []*routev3.Route{directResponse(anyPath(), 200, "ready\n")},
		}},
	}}
	hcm.HttpFilters = []*hcmv3.HttpFilter{routerFilter()}
	return &listenerv3.Listener{
		Name:    Ready,
		Address: address("127.0.0.1", heddlev1alpha1.PortReady),
		FilterChains: []*listenerv3.FilterChain{{
			TransportSocket: serverTLS(nil),
			Filters:         []*listenerv3.Filter{hcmFilter(hcm)},
		}},
	}
}
