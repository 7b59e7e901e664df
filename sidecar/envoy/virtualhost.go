package envoy

import (
	"net/netip"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// ServiceHost returns the virtual host of a service port at one of its
// addresses.
func ServiceHost(addr netip.AddrPort, port *mesh.Port) *routev3.VirtualHost {
	var routes []*routev3.Route
	for _, matched := range port.Matched {
		for _, match := range matched.Matches {
			routes = append(routes, sharedRoute(requestMatch(match), matched))
		}
	}
	return outboundHost(VirtualHost(addr), addr.String(), append(routes, lastRoute(port))...)
}

// EmptyHost returns the virtual host that PlaceholderHost names.
func EmptyHost() *routev3.VirtualHost {
	return outboundHost(PlaceholderHost, "heddle.invalid", unavailable(anyPath(), "no such destination"))
}

func lastRoute(port *mesh.Port) *routev3.Route {
	switch {
	case port.Route != nil:
		return sharedRoute(anyPath(), port.Route)
	case port.Headless:
		return dialledRoute()
	}
	return &routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: outboundAction(&routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: HTTPCluster(port.Key)},
	})}}
}

// dialledRoute sends requests where the application sent them.
func dialledRoute() *routev3.Route {
	return &routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: outboundAction(&routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: headerCluster},
	})}}
}

func sharedRoute(match *routev3.RouteMatch, route *mesh.Route) *routev3.Route {
	if route.Total() == 0 {
		return unavailable(match, "no backend has a weight")
	}
	weighted := &routev3.WeightedCluster{}
	for _, share := range route.Shares {
		if share.Weight == 0 {
			continue
		}
		cluster := &routev3.WeightedCluster_ClusterWeight{
			Name:   HTTPCluster(share.Backend),
			Weight: wrapperspb.UInt32(share.Weight),
		}
		if share.Missing {
			cluster.TypedPerFilterConfig = notOnDemand()
		}
		weighted.Clusters = append(weighted.Clusters, cluster)
	}
	policy := hashPolicy(route.Cohort)
	if policy != nil {
		// The hash, modulo the total, falls among the weights in their order: a weight
		// that grows at its neighbour's cost takes its neighbour's users, and keeps its
		// own. A request without a hash goes by chance.
		weighted.RandomValueSpecifier = &routev3.WeightedCluster_UseHashPolicy{UseHashPolicy: wrapperspb.Bool(true)}
	}
	return &routev3.Route{Match: match, Action: &routev3.Route_Route{Route: outboundAction(&routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted},
		HashPolicy:       policy,
		// A backend that doesn't exist keeps its share as an error.
		ClusterNotFoundResponseCode: routev3.RouteAction_INTERNAL_SERVER_ERROR,
	})}}
}

func hashPolicy(c mesh.Cohort) []*routev3.RouteAction_HashPolicy {
	switch {
	case c.Header != "":
		return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: c.Header},
		}}}
	case c.Cookie != "": // without a lifetime none is made where there is none
		return []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{
			Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: c.Cookie},
		}}}
	}
	return nil
}

// requestMatch describes requests to the routes of the caller's own side. It
// chooses among backends and admits nobody, so it takes paths as they are sent;
// the query is no part of them.
func requestMatch(match mesh.HTTPMatch) *routev3.RouteMatch {
	out := anyPath()
	if match.PathRegex != "" {
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: match.PathRegex}}
	}
	if len(match.Methods) > 0 {
		names := make([]string, 0, len(match.Methods))
		for _, method := range match.Methods {
			names = append(names, regexp.QuoteMeta(method))
		}
		out.Headers = append(out.Headers, regexHeader(":method", strings.Join(names, "|")))
	}
	for _, header := range match.Headers {
		if header.Regex == "" {
			// Envoy takes no empty expression; one matches the empty value.
			out.Headers = append(out.Headers, exactHeader(header.Name, ""))
			continue
		}
		out.Headers = append(out.Headers, regexHeader(header.Name, header.Regex))
	}
	return out
}

// regexHeader holds for a value that all of the expression matches.
func regexHeader(name, regex string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}},
	}}
}

func anyPath() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

func unavailable(match *routev3.RouteMatch, why string) *routev3.Route {
	return directResponse(match, 503, "heddle: "+why+"\n")
}

func directResponse(match *routev3.RouteMatch, status uint32, body string) *routev3.Route {
	return &routev3.Route{Match: match, Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
		Status: status,
		Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}},
	}}}
}
