package envoy

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"
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

// outboundAction completes a route action: no time limit of the mesh's own,
// and retries only of what can't have reached an application, on another
// endpoint where there is one.
func outboundAction(action *routev3.RouteAction) *routev3.RouteAction {
	action.Timeout = durationpb.New(0)
	action.RetryPolicy = &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream,reset-before-request,retriable-headers",
		NumRetries: wrapperspb.UInt32(3),
		RetriableHeaders: []*routev3.HeaderMatcher{{
			Name:                 headerRetriable,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		}},
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: typed(&previoushostsv3.PreviousHostsPredicate{}),
			},
		}},
		HostSelectionRetryMaxAttempts: 5,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(5 * time.Millisecond),
			MaxInterval:  durationpb.New(50 * time.Millisecond),
		},
	}
	return action
}
