package programmed

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// replica serves the answers and returns where.
func replica(t *testing.T, a Answers) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	if a.Allow == nil {
		a.Allow = func(context.Context) error { return nil }
	}
	RegisterDeliveries(server, a)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func peers(t *testing.T, addresses ...string) *Peers {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Peers{Operator: "self", Addresses: func() []string { return addresses }, TokenFile: file, Credentials: insecure.NewCredentials()}
	t.Cleanup(p.Close)
	return p
}

func TestPeersAddUp(t *testing.T) {
	t.Parallel()
	a, b := Resource{TypeURL: "vh", Name: "a", Version: "1"}, Resource{TypeURL: "vh", Name: "b", Version: "1"}
	shared := Resource{TypeURL: "eds", Name: "c", Version: sharesOf(&mesh.Route{}), Shared: cart}
	late := shared
	late.Version = "not yet"
	snapshot := &mesh.Snapshot{Services: mesh.TableOf(map[mesh.ServiceKey]*mesh.Service{cart.Service: {Ports: []*mesh.Port{{Key: cart, Route: &mesh.Route{}}}}})}
	answers := func(name string, d map[string]xds.Delivery) string {
		return replica(t, Answers{
			Operator: name, Snapshot: func() *mesh.Snapshot { return snapshot },
			Delivered: func(_, name, version string) xds.Delivery { return d[name+version] },
		})
	}
	no := &xds.Rejection{Name: "a", Message: "no"}
	p := peers(t,
		answers("self", map[string]xds.Delivery{"a1": {Subscribed: 100}}),
		answers("one", map[string]xds.Delivery{"a1": {Subscribed: 2, Acked: 1}, "c": {Subscribed: 1, Acked: 1}}),
		answers("two", map[string]xds.Delivery{"a1": {Subscribed: 3, Acked: 3, Rejection: no, Pod: xds.PodKey{Name: "p"}}, "b1": {Subscribed: 1}}),
	)
	got := p.Ask(t.Context(), []Resource{a, b, shared, late})
	want := map[Resource]Delivery{
		a: {Delivery: xds.Delivery{Subscribed: 5, Acked: 4, Rejection: no, Pod: xds.PodKey{Name: "p"}}}, b: {Delivery: xds.Delivery{Subscribed: 1}},
		shared: {Delivery: xds.Delivery{Subscribed: 1, Acked: 1}},
		late:   {Delivery: xds.Delivery{Subscribed: 2}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	own := func(_, name, _ string) xds.Delivery {
		return map[string]xds.Delivery{"a": {Subscribed: 10, Acked: 10}}[name]
	}
	if d := Together(own, got)(a); d.Subscribed != 15 || d.Acked != 14 || d.Rejection == nil {
		t.Errorf("together %+v", d)
	}
}

// Of whom there is no word nothing is taken for granted.
func TestPeersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	r := Resource{TypeURL: "vh", Name: "a", Version: "1"}
	strict := replica(t, Answers{Operator: "strict", Snapshot: func() *mesh.Snapshot { return nil }, Allow: func(ctx context.Context) error {
		if got := metadata.ValueFromIncomingContext(ctx, "authorization"); len(got) == 1 && got[0] == "Bearer secret" {
			return errors.New("only the operator may ask")
		}
		return nil
	}})
	empty := replica(t, Answers{Operator: "empty", Snapshot: func() *mesh.Snapshot { return nil }})
	for name, test := range map[string]struct{ address, want string }{
		"refuses":       {strict, "only the operator may ask"},
		"is gone":       {"127.0.0.1:1", "the operator at 127.0.0.1:1 can't be asked"},
		"knows nothing": {empty, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := peers(t, test.address).Ask(t.Context(), []Resource{r})[r]
			if (test.want == "") != (got.Unknown == "") || !strings.Contains(got.Unknown, test.want) || strings.Contains(got.Unknown, "secret") {
				t.Errorf("unknown %q", got.Unknown)
			}
			if got.Unknown == "" && got.Subscribed == got.Acked {
				t.Errorf("taken for delivered: %+v", got)
			}
			book := NewBook()
			book.Update(state(nil), epoch)
			reports, _ := book.Report(func(Resource) Delivery { return got }, epoch.Add(Grace))
			expect(t, "the reports", reports, "Pending", "Pending")
		})
	}
}
