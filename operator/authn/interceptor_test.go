package authn

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	authenticationv1 "k8s.io/api/authentication/v1"
	"pgregory.net/rapid"
)

// watched is a server with a unary and a streaming method that tells who
// called. Its stream lasts until its context ends.
type watched struct {
	grpc_health_v1.UnimplementedHealthServer
	callers chan Identity
}

func (w *watched) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	identity, _ := FromContext(ctx)
	w.callers <- identity
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (w *watched) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	identity, _ := FromContext(stream.Context())
	w.callers <- identity
	if err := stream.Send(&grpc_health_v1.HealthCheckResponse{}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// serve runs the server behind the interceptors and returns a client of it.
func serve(t *testing.T, a *Authenticator) (grpc_health_v1.HealthClient, *watched) {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.StreamInterceptor(a.Stream), grpc.UnaryInterceptor(a.Unary))
	w := &watched{callers: make(chan Identity, 1)}
	grpc_health_v1.RegisterHealthServer(server, w)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return grpc_health_v1.NewHealthClient(conn), w
}

func TestInterceptors(t *testing.T) {
	t.Parallel()
	good := token(time.Now().Add(time.Hour))
	tests := map[string]struct {
		headers []string
		status  authenticationv1.TokenReviewStatus
		failure error
		want    codes.Code
		wantErr string
	}{
		"a good token":    {headers: []string{"authorization", "Bearer " + good}, status: accepted()},
		"no header":       {status: accepted(), want: codes.Unauthenticated, wantErr: "0 authorization headers"},
		"two headers":     {headers: []string{"authorization", "Bearer " + good, "authorization", "Bearer " + good}, status: accepted(), want: codes.Unauthenticated, wantErr: "2 authorization headers"},
		"another scheme":  {headers: []string{"authorization", "Basic " + good}, status: accepted(), want: codes.Unauthenticated, wantErr: "not a bearer token"},
		"a bare token":    {headers: []string{"authorization", good}, status: accepted(), want: codes.Unauthenticated, wantErr: "not a bearer token"},
		"a refused token": {headers: []string{"authorization", "Bearer " + good}, want: codes.Unauthenticated, wantErr: "does not accept"},
		"no answer from the API server": {
			headers: []string{"authorization", "Bearer " + good}, failure: errors.New("connection refused"),
			want: codes.Unavailable, wantErr: "connection refused",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kube, _ := apiServer(t, tc.status, tc.failure)
			client, server := serve(t, New(kube, time.Now))
			ctx := metadata.AppendToOutgoingContext(t.Context(), tc.headers...)
			stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			_, streamErr := stream.Recv()
			calls := map[string]error{"stream": streamErr}
			if tc.want == codes.OK {
				if caller := <-server.callers; caller.PodUID != "uid-1" {
					t.Errorf("the stream's caller is %+v", caller)
				}
			}
			_, calls["unary"] = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			if tc.want == codes.OK {
				if caller := <-server.callers; caller.PodUID != "uid-1" {
					t.Errorf("the call's caller is %+v", caller)
				}
			}
			for kind, err := range calls {
				if status.Code(err) != tc.want || !strings.Contains(status.Convert(err).Message(), tc.wantErr) {
					t.Errorf("%s: error %v, want %s with %q", kind, err, tc.want, tc.wantErr)
				}
				if err != nil && strings.Contains(err.Error(), good) {
					t.Errorf("%s: the error shows the token", kind)
				}
			}
			select {
			case caller := <-server.callers:
				t.Errorf("the handler was reached by %+v", caller)
			default:
			}
		})
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	kube, _ := apiServer(t, accepted(), nil)
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	client, _ := serve(t, New(kube, time.Now))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token(expires))
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("error %v", err)
	}
	if late := time.Since(expires); late > time.Second {
		t.Errorf("the stream outlived its token by %s", late)
	}
}

func TestNoStreamOutlivesItsToken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		left := time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(r, "left"))
		spread := rapid.Float64Range(0, 0.999999).Draw(r, "spread")
		if life := lifeOf(left, spread); life > left || life < left*9/10-time.Microsecond {
			r.Errorf("a stream of %s with a token that has %s left", life, left)
		}
	})
}

func TestCheckNode(t *testing.T) {
	t.Parallel()
	identity := Identity{Namespace: "shop", ServiceAccount: "cart", PodName: "cart-1", PodUID: "uid-1"}
	tests := map[string]struct {
		id, cluster, uid string
		// want are parts of the error, none where the node is right.
		want []string
	}{
		"the pod itself":          {id: "shop/cart-1", cluster: "shop/cart", uid: "uid-1"},
		"another pod":             {id: "shop/cart-2", cluster: "shop/cart", uid: "uid-1", want: []string{"node id", "shop/cart-1", "shop/cart-2"}},
		"another namespace":       {id: "bank/cart-1", cluster: "shop/cart", uid: "uid-1", want: []string{"node id", "bank/cart-1"}},
		"another service account": {id: "shop/cart-1", cluster: "shop/admin", uid: "uid-1", want: []string{"node cluster", "shop/admin", "shop/cart"}},
		"a pod of the same name":  {id: "shop/cart-1", cluster: "shop/cart", uid: "uid-0", want: []string{"pod UID", "uid-0", "uid-1"}},
		"no pod UID":              {id: "shop/cart-1", cluster: "shop/cart", want: []string{"pod UID", "uid-1"}},
		"nothing":                 {want: []string{"node id"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := CheckNode(identity, tc.id, tc.cluster, tc.uid)
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("error %v", err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in: %v", part, err)
				}
			}
		})
	}
}

func TestFromContextWithoutInterceptor(t *testing.T) {
	t.Parallel()
	if identity, ok := FromContext(t.Context()); ok {
		t.Errorf("identity %s", cmp.Diff(Identity{}, identity))
	}
}

func FuzzBearer(f *testing.F) {
	for _, value := range []string{"Bearer a.b.c", "bearer a", "Bearer ", "Bearer  a", "Bearer a b", "Basic a", "", " ", "Bearer a\n"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := bearer([]string{value})
		if err != nil {
			if got != "" {
				t.Errorf("token %q came with an error", got)
			}
			return
		}
		if got == "" || strings.ContainsAny(got, " \t\r\n") || !strings.HasSuffix(value, got) {
			t.Errorf("token %q of %q", got, value)
		}
		if len(value) != len("Bearer ")+len(got) {
			t.Errorf("%q has more than a scheme and a token", value)
		}
	})
}
