package xds

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// dial serves over real gRPC.
func dial(t testing.TB, server *Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer()
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
	g := grpc.NewServer()
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
