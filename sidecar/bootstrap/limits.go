package bootstrap

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	downstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	monitorHeap        = "envoy.resource_monitors.fixed_heap"
	monitorConnections = "envoy.resource_monitors.global_downstream_max_connections"

	// maxConnections bounds what one pod can be made to hold open.
	maxConnections = 20000
)

// ownStats tell whether the proxy itself is well.
var ownStats = []string{
	"server.live",
	"server.state",
	"server.uptime",
	"server.memory_allocated",
	"server.memory_heap_size",
	"server.total_connections",
	"control_plane.connected_state",
	"cluster." + ClusterXDS + ".upstream_cx_active",
	"cluster." + ClusterXDS + ".upstream_cx_connect_fail",
	"cluster." + ClusterXDS + ".ssl.fail_verify_error",
	"cluster." + ClusterXDS + ".ssl.fail_verify_san",
	"cluster_manager.active_clusters",
	"listener_manager.total_listeners_active",
	"listener_manager.total_listeners_warming",
	"listener_manager.lds.update_success",
	"listener_manager.lds.update_rejected",
	"sds.identity.update_success",
	"sds.identity.update_rejected",
	"sds.roots.update_success",
	"sds.roots.update_rejected",
	"overload." + monitorHeap + ".pressure",
	"overload." + monitorConnections + ".pressure",
	"overload.envoy.overload_actions.stop_accepting_requests.active",
}

// statsConfig keeps few series: the mesh's own and ownStats. Everything else
// is never created, which saves memory and scraping; an idle proxy would have
// 900 lines otherwise.
func statsConfig(tcpPorts []uint16) *metricsv3.StatsConfig {
	keep := []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "heddle."}}}
	for _, name := range ownStats {
		keep = append(keep, exact(name))
	}
	// The health check filter reads these, so without them every TCP probe
	// would fail.
	for _, port := range tcpPorts {
		for _, what := range []string{"total", "healthy", "degraded"} {
			keep = append(keep, exact("cluster."+ClusterProbe(port)+".membership_"+what))
		}
	}
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{
		StatsMatcher: &metricsv3.StatsMatcher_InclusionList{
			InclusionList: &matcherv3.ListStringMatcher{Patterns: keep},
		},
	}}
}

func exact(name string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}}
}

// layeredRuntime fixes the runtime: nothing can change it later, not even the
// admin interface.
func layeredRuntime() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "static",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{
			Fields: map[string]*structpb.Value{},
		}},
	}}}
}

// overloadManager sheds load before the kernel kills the proxy: memory is
// counted against nine tenths of the container's limit.
func (b *builder) overloadManager(memoryLimit int64) *overloadv3.OverloadManager {
	om := &overloadv3.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{{
			Name: monitorConnections,
			ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: b.any(&downstreamv3.DownstreamConnectionsConfig{
				MaxActiveDownstreamConnections: maxConnections,
			})},
		}},
	}
	if memoryLimit <= 0 {
		return om
	}
	om.ResourceMonitors = append(om.ResourceMonitors, &overloadv3.ResourceMonitor{
		Name: monitorHeap,
		ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: b.any(&heapv3.FixedHeapConfig{
			MaxHeapSizeBytes: uint64(memoryLimit / 10 * 9),
		})},
	})
	om.Actions = []*overloadv3.OverloadAction{
		{Name: "envoy.overload_actions.shrink_heap", Triggers: heapAt(0.90)},
		{Name: "envoy.overload_actions.disable_http_keepalive", Triggers: heapAt(0.92)},
		{Name: "envoy.overload_actions.stop_accepting_requests", Triggers: heapAt(0.95)},
	}
	om.LoadshedPoints = []*overloadv3.LoadShedPoint{
		{Name: "envoy.load_shed_points.tcp_listener_accept", Triggers: heapAt(0.95)},
	}
	return om
}

func heapAt(value float64) []*overloadv3.Trigger {
	return []*overloadv3.Trigger{{
		Name:         monitorHeap,
		TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: value}},
	}}
}
