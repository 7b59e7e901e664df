package envoy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

// TestEnvoyAcceptsTheGoldens has a real Envoy judge every cluster, listener,
// route configuration and virtual host there is a golden file of: it compiles
// expressions and finds filter chains that clash, which no proto rule does.
func TestEnvoyAcceptsTheGoldens(t *testing.T) {
	t.Parallel()
	binary := envoytest.Binary(t)
	config := filepath.Join(t.TempDir(), "envoy.json")
	raw, err := protojson.Marshal(staticBootstrap(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "--mode", "validate", "-c", config, "--log-level", "warning").CombinedOutput()
	if err != nil {
		t.Fatalf("Envoy refuses it: %v\n%s", err, out)
	}
}

// staticBootstrap holds every golden resource, under names and ports that
// don't clash.
func staticBootstrap(t *testing.T) *bootstrapv3.Bootstrap {
	t.Helper()
	static := &bootstrapv3.Bootstrap_StaticResources{}
	listen := func(name string, l *listenerv3.Listener) {
		clone, _ := proto.Clone(l).(*listenerv3.Listener)
		clone.Name = name
		chains := slices.Clone(clone.GetFilterChains())
		if clone.GetDefaultFilterChain() != nil {
			chains = append(chains, clone.GetDefaultFilterChain())
		}
		for _, chain := range chains {
			withoutDemand(t, chain)
		}
		clone.Address = address("127.0.0.1", uint32(20000+len(static.GetListeners())))
		static.Listeners = append(static.Listeners, clone)
	}
	for name, g := range goldens() {
		switch resource := g.resource.(type) {
		case *clusterv3.Cluster:
			// A cluster that is static and has its certificate by ADS is another
			// thing that only validating crashes on.
			known := slices.ContainsFunc(static.GetClusters(), func(c *clusterv3.Cluster) bool { return c.GetName() == resource.GetName() })
			if !known && resource.GetType() != clusterv3.Cluster_STATIC {
				static.Clusters = append(static.Clusters, resource)
			}
		case *listenerv3.Listener:
			listen(name, resource)
		case *routev3.RouteConfiguration:
			listen(name, routesListener(name, resource))
		case *routev3.VirtualHost:
			listen(name, routesListener(name, &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{resource}}))
		}
	}
	if len(static.GetClusters()) < 4 || len(static.GetListeners()) < 20 {
		t.Fatalf("only %d clusters and %d listeners are judged", len(static.GetClusters()), len(static.GetListeners()))
	}
	static.Clusters = append(static.Clusters, &clusterv3.Cluster{
		Name: "xds", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	})
	return &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: "test", Cluster: "test"},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{AdsConfig: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "xds"},
			}}},
		}},
		StaticResources: static,
	}
}

// routesListener serves the routes from its own configuration, where they are
// judged at once.
func routesListener(name string, routes *routev3.RouteConfiguration) *listenerv3.Listener {
	routes, _ = proto.Clone(routes).(*routev3.RouteConfiguration)
	routes.ValidateClusters, routes.Vhds = wrapperspb.Bool(false), nil
	hcm := meshHTTP(workload(false), closed())
	hcm.StatPrefix = name
	hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes}
	return &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{hcmFilter(hcm)}}}}
}

// withoutDemand takes on-demand discovery out of the chain: Envoy 1.40 crashes
// on it when it only validates. tests/xds has it running.
func withoutDemand(t *testing.T, chain *listenerv3.FilterChain) {
	t.Helper()
	for _, filter := range chain.GetFilters() {
		config, err := filter.GetTypedConfig().UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch config := config.(type) {
		case *hcmv3.HttpConnectionManager:
			config.HttpFilters = slices.DeleteFunc(config.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool {
				return f.GetName() == onDemandFilter().GetName()
			})
		case *tcpproxyv3.TcpProxy:
			config.OnDemand = nil
		}
		filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: typed(config)}
	}
}
