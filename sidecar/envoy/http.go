package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	statslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

const upgradeWebSocket = "websocket"

// unnamedHost stands for the host that a request of HTTP/1.0 need not name.
// Nothing is routed by it.
const unnamedHost = "unnamed.invalid"

// baseHCM is what every connection manager of the mesh has in common: it is
// transparent, so it changes no header the application could miss and sets no
// time limit the application did not ask for.
func baseHCM(prefix string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		CodecType:                  hcmv3.HttpConnectionManager_AUTO,
		StatPrefix:                 prefix,
		HttpProtocolOptions:        &corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: unnamedHost},
		Http2ProtocolOptions:       &corev3.Http2ProtocolOptions{},
		StreamIdleTimeout:          durationpb.New(0),
		GenerateRequestId:          wrapperspb.Bool(false),
		PreserveExternalRequestId:  true,
		SkipXffAppend:              true,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		UpgradeConfigs:             []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: upgradeWebSocket}},
	}
}

func rds(name string) *hcmv3.HttpConnectionManager_Rds {
	return &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: name, ConfigSource: adsWaiting(0)}}
}

func earlyHeaders(mutations ...*mutationv3.HeaderMutation) []*corev3.TypedExtensionConfig {
	return []*corev3.TypedExtensionConfig{extension("envoy.http.early_header_mutation.header_mutation",
		&earlyv3.HeaderMutation{Mutations: mutations})}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed(config)}}
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(config)}}
}

func hcmFilter(hcm *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.http_connection_manager", hcm)
}

func routerFilter() *hcmv3.HttpFilter {
	return httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true})
}

// requestStats counts the requests that a workload receives, by who sent them
// and what came of it (docs/reference/metrics.md). No label is a client's to
// choose.
func requestStats(w *mesh.Workload) *accesslogv3.AccessLog {
	return statsLog(&statslogv3.Config{
		Counters: []*statslogv3.Config_Counter{{
			Stat: &statslogv3.Config_Stat{Name: "request_total", Tags: append(parties(w),
				&statslogv3.Config_Tag{Name: "response_code", ValueFormat: "%RESPONSE_CODE%"},
				&statslogv3.Config_Tag{Name: "response_flags", ValueFormat: "%RESPONSE_FLAGS%"},
				&statslogv3.Config_Tag{Name: "grpc_status", ValueFormat: "%GRPC_STATUS_NUMBER%"},
			)},
			ValueFixed: wrapperspb.UInt64(1),
		}},
		Histograms: []*statslogv3.Config_Histogram{{
			Stat:        &statslogv3.Config_Stat{Name: "request_duration_ms", Tags: parties(w)},
			Unit:        statslogv3.Config_Histogram_Milliseconds,
			ValueFormat: "%DURATION%",
		}},
	})
}

// connectionStats counts the connections that a workload receives, and what went
// over them, when they end.
func connectionStats(w *mesh.Workload) *accesslogv3.AccessLog {
	return statsLog(&statslogv3.Config{Counters: []*statslogv3.Config_Counter{
		{
			Stat: &statslogv3.Config_Stat{Name: "tcp_connections_total", Tags: append(parties(w),
				&statslogv3.Config_Tag{Name: "response_flags", ValueFormat: "%RESPONSE_FLAGS%"})},
			ValueFixed: wrapperspb.UInt64(1),
		},
		{Stat: &statslogv3.Config_Stat{Name: "tcp_received_bytes_total", Tags: parties(w)}, ValueFormat: "%BYTES_RECEIVED%"},
		{Stat: &statslogv3.Config_Stat{Name: "tcp_sent_bytes_total", Tags: parties(w)}, ValueFormat: "%BYTES_SENT%"},
	}})
}

// parties are who called and who was called.
func parties(w *mesh.Workload) []*statslogv3.Config_Tag {
	return []*statslogv3.Config_Tag{
		{Name: "reporter", ValueFormat: "destination"},
		{Name: "source_identity", ValueFormat: "%DOWNSTREAM_PEER_URI_SAN%"},
		{Name: "destination_namespace", ValueFormat: w.Key.Namespace},
		{Name: "destination_kind", ValueFormat: w.Key.Kind},
		{Name: "destination_name", ValueFormat: w.Key.Name},
		{Name: "destination_service_account", ValueFormat: w.Identity.ServiceAccount},
	}
}

func statsLog(config *statslogv3.Config) *accesslogv3.AccessLog {
	config.StatPrefix = "heddle" //nolint:staticcheck // its successor stats_scope is not proven on Envoy 1.40 yet
	return &accesslogv3.AccessLog{
		Name:       "envoy.access_loggers.stats",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: typed(config)},
	}
}
