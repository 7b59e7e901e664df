package xds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// dial serves over real gRPC.
func dial(t testing.TB, server *Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(ServerOption())
	server.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///xds", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return conn
}

func TestOnlyDeltaStreamsAreServed(t *testing.T) {
	t.Parallel()
	server := newTestServer(t, nil)
	server.Publish(world{}, Change{})
	g := grpc.NewServer(ServerOption())
	server.Register(g)
	var services []string
	for name := range g.GetServiceInfo() {
		services = append(services, name)
	}
	if diff := cmp.Diff([]string{"envoy.service.discovery.v3.AggregatedDiscoveryService"}, services); diff != "" {
		t.Error(diff)
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, server)).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("state of the world: %v", err)
	}
}

func TestStreamOverGRPC(t *testing.T) {
	t.Parallel()
	server := newTestServer(t, nil)
	w := world{TypeListener: {"l": "1"}}
	server.Publish(w, Change{})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, server)).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener}); err != nil {
		t.Fatal(err)
	}
	expect := func(content string) {
		t.Helper()
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		want := made(TypeListener, "l", content)
		got := r.GetResources()[0]
		if got.GetVersion() != want.Version || string(got.GetResource().GetValue()) != string(want.Body.GetValue()) {
			t.Errorf("got %v, want the bytes of %q", got, content)
		}
	}
	expect("1")
	server.Publish(w.with(TypeListener, "l", "2"))
	expect("2")
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the server went on after the proxy had finished")
	}
}

func TestUnauthenticatedAndContradictoryProxiesAreTurnedAway(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Options)
		want   codes.Code
	}{
		"whose token is not known": {
			change: func(o *Options) {
				o.Client = func(context.Context) (Client, error) {
					return Client{}, status.Error(codes.Unauthenticated, "who are you")
				}
			},
			want: codes.Unauthenticated,
		},
		"whose node is another's": {
			change: func(o *Options) {
				o.CheckNode = func(Client, *corev3.Node) error { return errors.New("you are not") }
			},
			want: codes.PermissionDenied,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newTestServer(t, tt.change)
			server.Publish(world{TypeListener: {"l": "1"}}, Change{})
			stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, server)).DeltaAggregatedResources(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener})
			if r, err := stream.Recv(); status.Code(err) != tt.want {
				t.Errorf("got %v, %v; want %s", r, err, tt.want)
			}
		})
	}
}

func TestListOfProxies(t *testing.T) {
	t.Parallel()
	server := newTestServer(t, nil)
	server.Publish(world{TypeListener: {"l": "1"}}, Change{})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, server)).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	server.Handler("operator-1").ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/proxies", nil))
	var list ProxyList
	if err := json.Unmarshal(recorder.Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if list.Operator != "operator-1" || len(list.Proxies) != 1 || list.Proxies[0].Pod != "web-1" || list.Proxies[0].PodUID != "uid-1" {
		t.Errorf("got %+v", list)
	}
}

// What is under way to one proxy is bounded: much goes out in several responses,
// each resource once and as it was marshalled.
func TestMuchGoesOutInSeveralResponses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		w := world{TypeCluster: {}}
		var names []string
		for i := range 300 {
			names = append(names, fmt.Sprintf("n%03d", i))
			w[TypeCluster][names[i]] = strings.Repeat(string(rune('a'+i%26)), 2000)
		}
		server.Publish(w, Change{})
		p := connect(t, server, 1000)
		defer func() { _ = p.close() }()
		p.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeCluster, ResourceNamesSubscribe: names})
		synctest.Wait()
		responses, got := p.hear(), []string{}
		for _, r := range responses {
			if size := proto.Size(r); size > maxResponse+5000 {
				t.Errorf("a response of %d bytes", size)
			}
			for _, resource := range r.GetResources() {
				got = append(got, resource.GetName())
				want := made(TypeCluster, resource.GetName(), w[TypeCluster][resource.GetName()])
				if resource.GetVersion() != want.Version || !proto.Equal(resource.GetResource(), want.Body) {
					t.Errorf("%s is not what was made", resource.GetName())
				}
			}
		}
		slices.Sort(got)
		if len(responses) < 5 || !slices.Equal(names, got) {
			t.Errorf("%d responses with %d resources", len(responses), len(got))
		}
	})
}

// An entry is what a response would have been written to hold.
func FuzzEntry(f *testing.F) {
	f.Add("outbound/10.96.0.7:80", "Service shop/cart")
	f.Add("", strings.Repeat("x", 300))
	f.Fuzz(func(t *testing.T, name, value string) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			t.Skip("no name is like that")
		}
		r, err := NewResource(name, "", wrapperspb.String(value))
		if err != nil {
			t.Fatal(err)
		}
		want := &discoveryv3.DeltaDiscoveryResponse{Resources: []*discoveryv3.Resource{{Name: name, Version: r.Version, Resource: r.Body}}}
		got := &discoveryv3.DeltaDiscoveryResponse{}
		if err := proto.Unmarshal(r.entry, got); err != nil || !proto.Equal(want, got) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if text := (&wrapperspb.StringValue{}); r.Body.UnmarshalTo(text) != nil || text.GetValue() != value {
			t.Errorf("the body is %q", text.GetValue())
		}
	})
}

// Clients that come, ask and drop leave nothing behind; what runs for them is looked
// for at the end of all tests.
func TestClientsThatDropLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		server.Publish(world{TypeCluster: {"a": "1"}, TypeListener: {"b": "1"}}, Change{})
		for round := range 40 {
			var proxies []*proxy
			for range 50 {
				p := connect(t, server, 1000)
				p.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener})
				p.subscribe(TypeCluster, "a", fmt.Sprint("asked in ", round))
				proxies = append(proxies, p)
			}
			if round%2 == 0 {
				synctest.Wait() // some have been answered, others not
			}
			for _, p := range proxies {
				_ = p.close()
			}
		}
		synctest.Wait()
		server.mu.Lock()
		defer server.mu.Unlock()
		left := len(server.streams) + len(server.pods) + len(server.grouped) + len(server.wildcard[TypeListener]) + len(server.named[TypeCluster])
		if left > 0 {
			t.Errorf("%d streams, %d pods, %d groups, %d names are left", len(server.streams), len(server.pods), len(server.grouped), len(server.named[TypeCluster]))
		}
	})
}
