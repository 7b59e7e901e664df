package envoy

import (
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// outboundAction completes a route action: no time limit of the mesh's own,
// and retries only of what can't have reached an application or does no harm
// there, on another endpoint where there is one.
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
		// A choice costs next to nothing, and a pod that answers nobody has the
		// fewest requests under way, so that it is chosen often.
		HostSelectionRetryMaxAttempts: 32,
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(5 * time.Millisecond),
			MaxInterval:  durationpb.New(50 * time.Millisecond),
		},
	}
	return action
}

// retriable marks answers to requests that may be tried elsewhere: those that
// never reached the application, and, once, reads whose connection the
// application closed instead of answering. The latter is what an application
// does that stops while a connection it has kept open is used again; it can't
// be told from one that breaks down over the request, hence only reads
// (RFC 9110, 9.2.2), and only once.
func retriable() *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter: oneOf(flagged("UF"), each(flagged("UC"),
			asked(":method", "GET", "HEAD", "OPTIONS"), asked(headerAttempt, "1"))),
		HeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: headerRetriable, Value: "%RESPONSE_FLAGS%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}
}

func flagged(flag string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{flag}},
	}}
}

func oneOf(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{OrFilter: &accesslogv3.OrFilter{Filters: filters}}}
}

func each(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: filters}}}
}

// asked holds when the request's header has one of the values.
func asked(name string, values ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: regexHeader(name, strings.Join(values, "|"))},
	}}
}
