package xds

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
)

func TestAnswersToRequests(t *testing.T) {
	t.Parallel()
	snapshot := world{
		TypeCluster:     {"cart": "1", "web": "1"},
		TypeListener:    {"in": "1", "out": "1"},
		TypeVirtualHost: {"r/1": "1"},
	}
	version := func(typeURL, name string) string { return made(typeURL, name, "1").Version }
	type request = discoveryv3.DeltaDiscoveryRequest
	tests := map[string]struct {
		requests []*request
		want     []string
	}{
		"a first request for listeners without names gets all": {
			requests: []*request{{TypeUrl: TypeListener}}, want: []string{"LDS +in +out"},
		},
		"a first request for listeners with a star gets all": {
			requests: []*request{{TypeUrl: TypeListener, ResourceNamesSubscribe: []string{"*"}}}, want: []string{"LDS +in +out"},
		},
		"a first request for virtual hosts without names gets all": {
			requests: []*request{{TypeUrl: TypeVirtualHost}}, want: []string{"VHDS +r/1"},
		},
		"all of nothing is answered with nothing": {
			requests: []*request{{TypeUrl: TypeCluster}}, want: []string{"CDS"},
		},
		"a first request for routes without names is not a request for all": {
			requests: []*request{{TypeUrl: TypeRoutes}},
		},
		"a name gets that resource only": {
			requests: []*request{{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"cart"}}}, want: []string{"CDS +cart"},
		},
		"an unknown cluster is answered as removed": {
			requests: []*request{{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"none"}}}, want: []string{"CDS -none"},
		},
		"an unknown assignment is answered as empty": {
			requests: []*request{{TypeUrl: TypeEndpoints, ResourceNamesSubscribe: []string{"none"}}}, want: []string{"EDS +none"},
		},
		"an empty assignment that the proxy holds is not sent again": {
			requests: []*request{{
				TypeUrl: TypeEndpoints, ResourceNamesSubscribe: []string{"none"},
				InitialResourceVersions: map[string]string{"none": emptyAssignment("none").Version},
			}},
		},
		"asking again is answered again": {
			requests: []*request{
				{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"cart"}},
				{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"cart"}},
			},
			want: []string{"CDS +cart", "CDS +cart"},
		},
		"a reconnect is told only what differs and what is gone": {
			requests: []*request{{TypeUrl: TypeListener, InitialResourceVersions: map[string]string{
				"in": version(TypeListener, "in"), "out": "old", "gone": "1",
			}}},
			want: []string{"LDS +out", "LDS -gone"},
		},
		"a reconnect that holds all is told nothing": {
			requests: []*request{{
				TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"cart", "web"},
				InitialResourceVersions: map[string]string{"cart": version(TypeCluster, "cart"), "web": version(TypeCluster, "web")},
			}},
		},
		"versions claimed later than in the first request count for nothing": {
			requests: []*request{
				{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"cart"}},
				{
					TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"web"},
					InitialResourceVersions: map[string]string{"web": version(TypeCluster, "web")},
				},
			},
			want: []string{"CDS +cart", "CDS +web"},
		},
		"a name given up while all is asked for is sent again if it is among all": {
			requests: []*request{
				{TypeUrl: TypeListener, ResourceNamesSubscribe: []string{"*", "in"}},
				{TypeUrl: TypeListener, ResourceNamesUnsubscribe: []string{"in"}},
			},
			want: []string{"LDS +in +out", "LDS +in"},
		},
		"a name given up while all is asked for is said to be gone if it is not among all": {
			requests: []*request{
				{TypeUrl: TypeListener, ResourceNamesSubscribe: []string{"*", "none"}},
				{TypeUrl: TypeListener, ResourceNamesUnsubscribe: []string{"none"}},
			},
			want: []string{"LDS +in +out", "LDS -none", "LDS -none"},
		},
		"an unknown type is not answered": {
			requests: []*request{{TypeUrl: "type.googleapis.com/envoy.config.core.v3.Node"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newTestServer(t, nil)
				server.Publish(snapshot, Change{})
				p := connect(t, server, 100)
				defer func() { _ = p.close() }()
				var got []string
				for _, r := range tt.requests {
					p.say(&request{
						TypeUrl: r.GetTypeUrl(), ResourceNamesSubscribe: r.GetResourceNamesSubscribe(),
						ResourceNamesUnsubscribe: r.GetResourceNamesUnsubscribe(), InitialResourceVersions: r.GetInitialResourceVersions(),
					})
					got = append(got, p.settle()...)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestUnknownNameIsSentWhenItAppears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		server.Publish(world{}, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeCluster, "cart")
		p.settle()
		server.Publish(world{}.with(TypeCluster, "cart", "1"))
		if diff := cmp.Diff([]string{"CDS +cart"}, p.settle()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(Delivery{Subscribed: 1, Acked: 1}, server.Delivered(TypeCluster, "cart", made(TypeCluster, "cart", "1").Version)); diff != "" {
			t.Error(diff)
		}
	})
}

// An answer to an older version, come late, is none to the one sent since.
func TestAckOfAnOlderVersionIsNoneOfTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		w := world{TypeCluster: {"cart": "1"}}
		server.Publish(w, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeCluster, "cart")
		first := p.hear()
		w, change := w.with(TypeCluster, "cart", "2")
		server.Publish(w, change)
		second := p.hear()
		delivered := func() Delivery { return server.Delivered(TypeCluster, "cart", made(TypeCluster, "cart", "2").Version) }
		p.ack(first[0])
		synctest.Wait()
		if diff := cmp.Diff(Delivery{Subscribed: 1}, delivered()); diff != "" {
			t.Error(diff)
		}
		p.ack(second[0])
		synctest.Wait()
		if diff := cmp.Diff(Delivery{Subscribed: 1, Acked: 1}, delivered()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProxyThatAsksForTooMuchIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, func(o *Options) { o.MaxNames = 10 })
		server.Publish(world{}, Change{})
		p := connect(t, server, 100)
		names := make([]string, 11)
		for i := range names {
			names[i] = fmt.Sprint("n", i)
		}
		p.subscribe(TypeCluster, names...)
		if err := <-p.ended; err == nil {
			t.Error("the stream ended without an error")
		}
	})
}

// mine is a world of which a proxy gets, without asking, only what is listed.
type mine struct {
	world
	listed []string
}

func (m mine) Wildcard(Client, string) []string { return m.listed }

func (m mine) InWildcard(_ Client, _, name string) bool { return slices.Contains(m.listed, name) }

func TestAllIsWhatTheSnapshotLists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		w := world{TypeListener: {"in": "1", "out": "1", "other": "1"}}
		server.Publish(mine{w, []string{"out"}}, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeListener)
		steps := []struct {
			publish Snapshot
			change  Change
			want    []string
		}{
			{publish: mine{w, []string{"out"}}, want: []string{"LDS +out"}},
			{
				publish: mine{world{TypeListener: {"in": "1", "out": "1", "other": "2"}}, []string{"out"}},
				change:  Change{Names: map[string][]string{TypeListener: {"other"}}},
			},
			{
				publish: mine{w, []string{"in", "out"}},
				change:  Change{Pods: []PodKey{{Namespace: anyone.Namespace, Name: anyone.Pod}}},
				want:    []string{"LDS +in"},
			},
			{
				publish: mine{w, []string{"out"}},
				change:  Change{Pods: []PodKey{{Namespace: anyone.Namespace, Name: anyone.Pod}}},
				want:    []string{"LDS -in"},
			},
			{
				publish: mine{w, nil},
				change:  Change{Pods: []PodKey{{Namespace: "another", Name: "pod"}}},
			},
		}
		for i, step := range steps {
			server.Publish(step.publish, step.change)
			if diff := cmp.Diff(step.want, p.settle()); diff != "" {
				t.Errorf("step %d: %s", i, diff)
			}
		}
	})
}

func TestEndedStreamLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	server := newTestServer(t, nil)
	server.Publish(world{}, Change{})
	p := &proxy{out: make(chan *discoveryv3.DeltaDiscoveryResponse, 10), ctx: t.Context()}
	st := newStream(server, (*serverSide)(p), anyone)
	server.add(st)
	server.remove(st)
	// The last request may have been under way when the stream ended.
	if err := st.request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"c", "*"}}); err != nil {
		t.Fatal(err)
	}
	if left := remains(server); left != 0 {
		t.Errorf("%d entries are left", left)
	}
}
