package xds

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// all is a proxy with something of each type.
func all(t *testing.T, server *Server) (*proxy, world) {
	t.Helper()
	w := world{
		TypeCluster: {"c": "1"}, TypeEndpoints: {"e": "1"}, TypeSecret: {"roots": "1"},
		TypeListener: {"l": "1"}, TypeRoutes: {"r": "1"}, TypeVirtualHost: {"v": "1"},
	}
	server.Publish(w, Change{})
	p := connect(t, server, 1000)
	p.subscribe(TypeListener)
	p.subscribe(TypeVirtualHost)
	p.subscribe(TypeCluster, "c")
	p.subscribe(TypeEndpoints, "e")
	p.subscribe(TypeSecret, "roots")
	p.subscribe(TypeRoutes, "r")
	p.settle()
	return p, w
}

func TestWhatIsReferredToGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, _ := all(t, server)
		defer func() { _ = p.close() }()
		server.Publish(world{
			TypeCluster: {"c": "2"}, TypeEndpoints: {"e": "2"}, TypeSecret: {"roots": "2"},
			TypeListener: {"l": "2"}, TypeRoutes: {"r": "2"}, TypeVirtualHost: {"v": "2"},
		}, Change{Names: map[string][]string{
			TypeVirtualHost: {"v"}, TypeRoutes: {"r"}, TypeListener: {"l"}, TypeSecret: {"roots"}, TypeEndpoints: {"e"}, TypeCluster: {"c"},
		}})
		got := p.settle()
		want := []string{"CDS +c", "EDS +e", "SDS +roots", "LDS +l", "RDS +r", "VHDS +v"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPublicationsUnderWayKeepTheOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, _ := all(t, server)
		defer func() { _ = p.close() }()
		const last = 200
		// Names that nobody asks for make a publication long enough to be
		// interrupted in its middle.
		nobodys := make([]string, 20000)
		for i := range nobodys {
			nobodys[i] = fmt.Sprint("nobody's ", i)
		}
		version := map[string]int{}
		for i := range last + 1 {
			version[made(TypeCluster, "c", fmt.Sprint(i)).Version] = i
			version[made(TypeVirtualHost, "v", fmt.Sprint(i)).Version] = i
		}
		go func() {
			for i := range last + 1 {
				server.Publish(world{TypeCluster: {"c": fmt.Sprint(i)}, TypeVirtualHost: {"v": fmt.Sprint(i)}},
					Change{Names: map[string][]string{TypeCluster: {"c"}, TypeVirtualHost: {"v"}, TypeRoutes: nobodys}})
			}
		}()
		cluster := 0
		for host := 0; host < last; {
			r := <-p.out
			for _, resource := range r.GetResources() {
				switch i := version[resource.GetVersion()]; r.GetTypeUrl() {
				case TypeCluster:
					cluster = i
				case TypeVirtualHost:
					host = i
				}
			}
			if host > cluster {
				t.Fatalf("virtual host %d came when there was cluster %d", host, cluster)
			}
			// Not say: that would wait for the publisher.
			p.in <- &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
		}
		p.settle()
	})
}

func TestWhatRefersToAHeldBackResourceWaitsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, w := all(t, server)
		defer func() { _ = p.close() }()
		var unanswered []*discoveryv3.DeltaDiscoveryResponse
		for i := range maxOutstanding {
			server.Publish(w.with(TypeCluster, "c", fmt.Sprint("x", i)))
			unanswered = append(unanswered, p.hear()...)
		}
		next, _ := w.with(TypeCluster, "c", "last")
		next, _ = next.with(TypeVirtualHost, "v", "last")
		server.Publish(next, Change{Names: map[string][]string{TypeCluster: {"c"}, TypeVirtualHost: {"v"}}})
		if got := p.hear(); len(got) > 0 {
			t.Fatalf("sent %q before the clusters were acknowledged", told(got))
		}
		for _, r := range unanswered {
			p.ack(r)
		}
		if diff := cmp.Diff([]string{"CDS +c", "VHDS +v"}, p.settle()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRemovalsWaitForWhatReplacesThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, _ := all(t, server)
		defer func() { _ = p.close() }()
		server.Publish(world{TypeVirtualHost: {"v": "2"}, TypeSecret: {"roots": "1"}, TypeListener: {"l": "1"}, TypeRoutes: {"r": "1"}},
			Change{Names: map[string][]string{TypeVirtualHost: {"v"}, TypeCluster: {"c"}, TypeEndpoints: {"e"}}})

		first := p.hear()
		if diff := cmp.Diff([]string{"VHDS +v"}, told(first)); diff != "" {
			t.Fatalf("before the acknowledgement: %s", diff)
		}
		p.ack(first[0])
		second := p.hear()
		if diff := cmp.Diff([]string{"CDS -c"}, told(second)); diff != "" {
			t.Fatalf("after the acknowledgement: %s", diff)
		}
		p.ack(second[0])
		if diff := cmp.Diff([]string{"EDS -e"}, p.settle()); diff != "" {
			t.Errorf("after the cluster is gone: %s", diff)
		}
	})
}

func TestAssignmentGivenUpWithItsClusterIsNotRemovedOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, _ := all(t, server)
		defer func() { _ = p.close() }()
		server.Publish(world{}, Change{Names: map[string][]string{TypeCluster: {"c"}, TypeEndpoints: {"e"}}})
		removal := p.hear()
		p.unsubscribe(TypeEndpoints, "e")
		p.ack(removal[0])
		if got := p.settle(); len(got) > 0 {
			t.Errorf("sent %q", got)
		}
	})
}

func TestProxyThatAnswersLateGetsTheNewestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p, w := all(t, server)
		defer func() { _ = p.close() }()
		for i := range 1000 {
			server.Publish(w.with(TypeCluster, "c", fmt.Sprint("x", i)))
			synctest.Wait()
		}
		unanswered := p.hear()
		if len(unanswered) > maxOutstanding {
			t.Fatalf("%d responses wait for an answer, want at most %d", len(unanswered), maxOutstanding)
		}
		for _, r := range unanswered {
			p.ack(r)
		}
		if diff := cmp.Diff([]string{"CDS +c"}, p.settle()); diff != "" {
			t.Error(diff)
		}
		if d := server.Delivered(TypeCluster, "c", made(TypeCluster, "c", "x999").Version); d.Acked != 1 {
			t.Error("the newest version did not arrive")
		}
	})
}

func TestPublisherNeverWaitsAndProxyThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		server := newTestServer(t, func(o *Options) { o.Registerer = registry })
		w := world{TypeListener: {"l": "1"}}
		server.Publish(w, Change{})
		p := connect(t, server, 0)
		p.subscribe(TypeListener)
		began := time.Now()
		for i := range 100 {
			server.Publish(w.with(TypeListener, "l", fmt.Sprint(i)))
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the publisher waited %s", waited)
		}
		if code := status.Code(<-p.ended); code != codes.ResourceExhausted {
			t.Errorf("the stream ended with %s", code)
		}
		if lasted := time.Since(began); lasted != defaultSendTimeout {
			t.Errorf("it was cut off after %s, want %s", lasted, defaultSendTimeout)
		}
		if n := counted(t, registry, "heddle_xds_streams_stalled_total"); n != 1 {
			t.Errorf("counted %v stalled streams", n)
		}
	})
}

func TestNobodyIsAnsweredBeforeTheFirstPublication(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		p := connect(t, server, 10)
		defer func() { _ = p.close() }()
		go func() { p.in <- &discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener} }()
		if got := p.hear(); len(got) > 0 {
			t.Fatalf("sent %q", told(got))
		}
		server.Publish(world{TypeListener: {"l": "1"}}, Change{})
		if diff := cmp.Diff([]string{"LDS +l"}, told(p.hear())); diff != "" {
			t.Error(diff)
		}
	})
}

// counted is the sum of a counter over its labels.
func counted(t *testing.T, from prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestWhatIsMadeOnDemandIsLookedAtByGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		server.Publish(world{TypeCluster: {"a1": "1", "a2": "1", "b": "1"}}, Change{})
		p := connect(t, server, 1000)
		defer func() { _ = p.close() }()
		p.subscribe(TypeCluster, "a1", "b")
		p.settle()
		next := world{TypeCluster: {"a1": "2", "a2": "2", "b": "2"}}
		server.Publish(next, Change{Groups: []string{"a", "c"}})
		if diff := cmp.Diff([]string{"CDS +a1"}, p.settle()); diff != "" {
			t.Errorf("what of the group is asked for and nothing else should come (-want +got):\n%s", diff)
		}
		server.Publish(next, Change{All: true})
		if diff := cmp.Diff([]string{"CDS +b"}, p.settle()); diff != "" {
			t.Errorf("what differs in all groups and nothing else should come (-want +got):\n%s", diff)
		}
		p.unsubscribe(TypeCluster, "a1")
		p.settle()
		server.Publish(world{TypeCluster: {"a1": "3"}}, Change{Groups: []string{"a"}})
		if got := p.settle(); len(got) > 0 {
			t.Errorf("nobody asks for it any more: %v", got)
		}
	})
	server := newTestServer(t, nil)
	st := newStream(server, nil, Client{})
	server.add(st)
	sub := newSubscription()
	st.subscriptions[TypeCluster] = sub
	for _, request := range []*discoveryv3.DeltaDiscoveryRequest{
		{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"a1", "a2", "b"}},
		{TypeUrl: TypeCluster, ResourceNamesUnsubscribe: []string{"a1"}},
		{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"a3"}, ResourceNamesUnsubscribe: []string{"a3"}},
	} {
		added, removed := sub.update(request, false)
		server.subscribe(st, TypeCluster, added, removed, false)
	}
	if len(server.grouped) != 2 || len(server.grouped["a"]) != 1 {
		t.Errorf("groups are %v", server.grouped)
	}
	server.remove(st)
	if len(server.grouped) > 0 {
		t.Errorf("of streams that are gone %v is left", server.grouped)
	}
}
