package xds

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

// TestStockEnvoy lets a real proxy fetch all it needs on demand, follow a
// change of route, and refuse one listener while it keeps the others.
func TestStockEnvoy(t *testing.T) {
	t.Parallel()
	binary := envoytest.Binary(t)
	dir, err := os.MkdirTemp("", "heddle") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := func(name string) string { return filepath.Join(dir, name) }

	server := newTestServer(t, nil)
	snapshot := protos{
		TypeListener:    {"in": inbound(t, socket("in"))},
		TypeRoutes:      {"r": &routev3.RouteConfiguration{Name: "r", Vhds: &routev3.Vhds{ConfigSource: ads()}}},
		TypeVirtualHost: {"r/all": everyPathTo("a")},
		TypeCluster:     {"a": onDemand("a"), "b": onDemand("b")},
		TypeEndpoints:   {"a": assignment("a", socket("a")), "b": assignment("b", socket("b"))},
	}
	server.Publish(snapshot, Change{})
	g := grpc.NewServer(ServerOption())
	server.Register(g)
	listen(t, socket("xds"), g.Serve, g.Stop)
	for _, name := range []string{"a", "b"} {
		answer := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, name)
		})}
		listen(t, socket(name), answer.Serve, func() { _ = answer.Close() })
	}
	run(t, binary, dir, socket("xds"))

	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket("in"))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Timeout: 5 * time.Second, Transport: transport}
	answers := func(want string) func() bool {
		return func() bool { return get(t, client) == want }
	}

	eventually(t, "the request reaches a", answers("a"))
	snapshot = snapshot.with(TypeVirtualHost, "r/all", everyPathTo("b"))
	server.Publish(snapshot, Change{Names: map[string][]string{TypeVirtualHost: {"r/all"}}})
	eventually(t, "the request reaches b", answers("b"))

	snapshot = snapshot.with(TypeListener, "bad", &listenerv3.Listener{Name: "bad"})
	server.Publish(snapshot, Change{Names: map[string][]string{TypeListener: {"bad", "in"}}})
	eventually(t, "the bad listener is reported", func() bool {
		rejected := server.Proxies()[0].Rejected
		return len(rejected) == 1 && rejected[0].Name == "bad" && rejected[0].Message != ""
	})
	if got := get(t, client); got != "b" {
		t.Errorf("after the refusal the request reaches %q", got)
	}

	gone := snapshot.with(TypeCluster, "b", nil).with(TypeEndpoints, "b", nil).with(TypeVirtualHost, "r/all", everyPathTo("a"))
	server.Publish(gone, Change{Names: map[string][]string{TypeCluster: {"b"}, TypeEndpoints: {"b"}, TypeVirtualHost: {"r/all"}}})
	eventually(t, "the request reaches a again", answers("a"))
	eventually(t, "all is acknowledged", func() bool { return server.Proxies()[0].Synced })
}

// protos is a snapshot of messages.
type protos map[string]map[string]proto.Message

func (p protos) Resource(_ Client, typeURL, name string) *Resource {
	if p[typeURL][name] == nil {
		return nil
	}
	r, err := NewResource(name, "", p[typeURL][name])
	if err != nil {
		panic(err)
	}
	return r
}

func (p protos) Wildcard(_ Client, typeURL string) (names []string) {
	if typeURL == TypeListener || typeURL == TypeVirtualHost {
		for name := range p[typeURL] {
			names = append(names, name)
		}
	}
	return names
}

func (p protos) InWildcard(c Client, typeURL, name string) bool {
	return slices.Contains(p.Wildcard(c, typeURL), name)
}

// with returns a snapshot with the message; nil takes it out.
func (p protos) with(typeURL, name string, m proto.Message) protos {
	next := protos{}
	for t, messages := range p {
		next[t] = map[string]proto.Message{}
		for n, message := range messages {
			next[t][n] = message
		}
	}
	next[typeURL][name] = m
	if m == nil {
		delete(next[typeURL], name)
	}
	return next
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func inbound(t *testing.T, path string) *listenerv3.Listener {
	t.Helper()
	filter := func(name string, m proto.Message) *hcmv3.HttpFilter {
		return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, m)}}
	}
	return &listenerv3.Listener{Name: "in", Address: pipe(path), FilterChains: []*listenerv3.FilterChain{{
		Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{
			TypedConfig: packed(t, &hcmv3.HttpConnectionManager{
				StatPrefix:     "in",
				RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "r", ConfigSource: ads()}},
				HttpFilters: []*hcmv3.HttpFilter{
					filter("on_demand", &ondemandv3.OnDemand{Odcds: &ondemandv3.OnDemandCds{Source: ads(), Timeout: durationpb.New(2 * time.Second)}}),
					filter("router", &routerv3.Router{}),
				},
			}),
		}}},
	}}}
}

func everyPathTo(cluster string) *routev3.VirtualHost {
	return &routev3.VirtualHost{Name: "r/all", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
	}}}
}

func onDemand(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()},
	}
}

func assignment(name, path string) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: pipe(path)},
		}}},
	}}}
}

// run starts Envoy with a bootstrap that knows only where the server is.
func run(t *testing.T, binary, dir, server string) {
	t.Helper()
	bootstrap := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: "shop/web-1", Cluster: "shop/web"},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: ads(),
			AdsConfig: &corev3.ApiConfigSource{
				ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "xds"}}}},
			},
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{{
			Name: "xds", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, LoadAssignment: assignment("xds", server),
			TypedExtensionProtocolOptions: map[string]*anypb.Any{
				"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(t, &httpv3.HttpProtocolOptions{
					UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
					}},
				}),
			},
		}}},
	}
	data, err := protojson.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	cmd := exec.CommandContext(t.Context(), binary, "-c", file, "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("envoy:\n%s", log)
		}
	})
}

func listen(t *testing.T, path string, serve func(net.Listener) error, stop func()) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(listener)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
}

// get returns the body of the answer, or nothing.
func get(t *testing.T, client *http.Client) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const limit = 30 * time.Second
	end := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}
