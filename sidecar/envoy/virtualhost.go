package envoy

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// ServiceHost returns the virtual host of a service port at one of its
// addresses.
func ServiceHost(addr netip.AddrPort, port *mesh.Port) *routev3.VirtualHost {
	return outboundHost(VirtualHost(addr), addr.String(), serviceRoute(port))
}

// EmptyHost returns the virtual host that PlaceholderHost names.
func EmptyHost() *routev3.VirtualHost {
	return outboundHost(PlaceholderHost, "heddle.invalid", unavailable("no such destination"))
}

func serviceRoute(port *mesh.Port) *routev3.Route {
	if port.Route == nil {
		return &routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: outboundAction(&routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: HTTPCluster(port.Key)},
		})}}
	}
	if port.Route.Total() == 0 {
		return unavailable("no backend has a weight")
	}
	weighted := &routev3.WeightedCluster{}
	for _, share := range port.Route.Shares {
		if share.Weight == 0 {
			continue
		}
		weighted.Clusters = append(weighted.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name:   HTTPCluster(share.Backend),
			Weight: wrapperspb.UInt32(share.Weight),
		})
	}
	return &routev3.Route{Match: anyPath(), Action: &routev3.Route_Route{Route: outboundAction(&routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted},
		// A backend that doesn't exist keeps its share as an error.
		ClusterNotFoundResponseCode: routev3.RouteAction_INTERNAL_SERVER_ERROR,
	})}}
}

func anyPath() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

func unavailable(why string) *routev3.Route {
	return directResponse(anyPath(), 503, "heddle: "+why+"\n")
}

func directResponse(match *routev3.RouteMatch, status uint32, body string) *routev3.Route {
	return &routev3.Route{Match: match, Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
		Status: status,
		Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}},
	}}}
}
