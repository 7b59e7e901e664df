package xds

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
)

func TestNamesInMessages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		message, name string
		want          bool
	}{
		"a name before a colon and the reason":    {"Error adding/updating cluster(s) cart/80: no such thing", "cart/80", true},
		"one of two names":                        {"cart/80: no, web/80: no", "web/80", true},
		"a name at the end of a sentence":         {"something about cart/80.", "cart/80", true},
		"a quoted name":                           {"listener 'cart/80' is bad", "cart/80", true},
		"the beginning of another name":           {"cart/8080: no", "cart/80", false},
		"the end of another name":                 {"shop/cart/80: no", "cart/80", false},
		"part of another, then the name itself":   {"cart/8080 and cart/80: no", "cart/80", true},
		"a name with an address and port":         {"tcp|10.0.0.1:80: no", "tcp|10.0.0.1:80", true},
		"an address that begins another":          {"tcp|10.0.0.1:8080: no", "tcp|10.0.0.1:80", false},
		"an address without the port that it has": {"tcp|10.0.0.1:80: no", "tcp|10.0.0.1", false},
		"a message that names nothing":            {"", "cart", false},
		"an empty name is in no message":          {"cart: no", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := names(tt.message, tt.name); got != tt.want {
				t.Errorf("names(%q, %q) = %v", tt.message, tt.name, got)
			}
		})
	}
}

func FuzzNamesInMessages(f *testing.F) {
	f.Add("Error adding/updating listener(s) in: no", "in")
	f.Fuzz(func(t *testing.T, message, name string) {
		if names(message, name) && !strings.Contains(message, name) {
			t.Errorf("%q is not in %q", name, message)
		}
		if clipped := clip(message); len(clipped) > maxMessage || !utf8.ValidString(clipped) {
			t.Errorf("clip(%q) = %q", message, clipped)
		}
	})
}

func TestRefusedResourceIsQuarantined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := 0
		server := newTestServer(t, func(o *Options) { o.OnAnswer = func() { answers++ } })
		server.Publish(world{TypeListener: {"bad": "1", "good": "1"}}, Change{})
		p := connect(t, server, 100)
		p.subscribe(TypeListener)
		responses := p.hear()
		p.nack(responses[0], "Error adding/updating listener(s) bad: it is")

		want := []Rejection{{
			Type: "LDS", Name: "bad", Version: made(TypeListener, "bad", "1").Version,
			Origin: "origin of bad", Message: "Error adding/updating listener(s) bad: it is", Since: time.Now(),
		}}
		if diff := cmp.Diff(want, server.Proxies()[0].Rejected); diff != "" {
			t.Errorf("status: %s", diff)
		}
		if answers != 1 {
			t.Errorf("told of %d answers, want 1", answers)
		}
		if diff := cmp.Diff(Delivery{Subscribed: 1, Acked: 1}, server.Delivered(TypeListener, "good", made(TypeListener, "good", "1").Version)); diff != "" {
			t.Errorf("the good one of a refused response is not acknowledged: %s", diff)
		}
		if diff := cmp.Diff(Delivery{Subscribed: 1, Rejection: &want[0], Pod: PodKey{"shop", "web-1"}}, server.Delivered(TypeListener, "bad", want[0].Version)); diff != "" {
			t.Errorf("the bad one: %s", diff)
		}
		_ = p.close()

		again := connect(t, server, 100)
		again.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener, InitialResourceVersions: map[string]string{
			"good": made(TypeListener, "good", "1").Version,
		}})
		if got := again.settle(); len(got) > 0 {
			t.Errorf("after a reconnect: sent %q", got)
		}
		if diff := cmp.Diff(want, server.Proxies()[0].Rejected); diff != "" {
			t.Errorf("status after a reconnect: %s", diff)
		}
		server.Publish(world{TypeListener: {"bad": "2", "good": "1"}}, Change{Names: map[string][]string{TypeListener: {"bad"}}})
		if diff := cmp.Diff([]string{"LDS +bad"}, again.settle()); diff != "" {
			t.Errorf("after it changed: %s", diff)
		}
		if rejected := server.Proxies()[0].Rejected; len(rejected) > 0 {
			t.Errorf("what was accepted is still rejected: %v", rejected)
		}
		_ = again.close()
	})
}

// TestListenerIsRefusedByItsOwnName: a proxy knows a listener by the name in
// it, which need not be the resource's.
func TestListenerIsRefusedByItsOwnName(t *testing.T) {
	t.Parallel()
	sub := newSubscription()
	for _, name := range []string{"inbound", "outbound"} {
		r, err := NewResource(name+"/of/somebody", "", &listenerv3.Listener{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		sub.send(r.Name, r.Version)
		sub.outstanding["1"] = append(sub.outstanding["1"], r)
	}
	got := sub.answer(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: TypeListener, ResponseNonce: "1", ErrorDetail: &statuspb.Status{Message: "Error adding/updating listener(s) inbound: it is bad"},
	}, time.Now())
	if len(got) != 1 || got[0].Name != "inbound/of/somebody" {
		t.Errorf("refused: %+v", got)
	}
}

func TestRefusalThatNamesNothingIsOfAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newTestServer(t, nil)
		server.Publish(world{TypeListener: {"a": "1", "b": "1"}}, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeListener)
		p.nack(p.hear()[0], "no")
		if rejected := server.Proxies()[0].Rejected; len(rejected) != 2 {
			t.Errorf("rejected: %v", rejected)
		}
	})
}

func TestQuarantineIsBoundedAndExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := newQuarantine()
	for i := range 2 * quarantineSize {
		q.add(refusal{name: strings.Repeat("x", i%7), version: string(rune(i))}, Rejection{Since: now})
	}
	if len(q.held) > quarantineSize || len(q.order) > quarantineSize {
		t.Errorf("%d refusals are held", len(q.held))
	}
	key := refusal{podUID: "u", name: "n", version: "v"}
	q.add(key, Rejection{Since: now})
	if _, found := q.find(key, now.Add(quarantineTime-1)); !found {
		t.Error("forgotten too early")
	}
	if _, found := q.find(key, now.Add(quarantineTime)); found {
		t.Error("believed for too long")
	}
}
