package xds

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
)

func TestIdentityIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := &numbered{renewIn: time.Hour}
		p, _ := holdingIdentity(t, issuer)
		defer func() { _ = p.close() }()

		time.Sleep(time.Hour - 1)
		if got := p.settle(); len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestIdentityIsNotTakenAwayWhenRenewalFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := &numbered{renewIn: time.Hour}
		p, _ := holdingIdentity(t, issuer)
		defer func() { _ = p.close() }()

		issuer.fail(errors.New("the authority is away"))
		time.Sleep(2 * time.Hour)
		if got := p.settle(); len(got) > 0 {
			t.Errorf("sent %q", got)
		}
		if count := issuer.fail(nil); count < 50 || count > 75 {
			t.Errorf("tried %d times in an hour", count)
		}
		time.Sleep(reissueLimit)
		if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProxyWithoutIdentityIsAnsweredAndGetsItLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := &numbered{err: errors.New("no")}
		server := newTestServer(t, func(o *Options) { o.Issuer = issuer })
		server.Publish(world{}, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeSecret, identityName)
		if diff := cmp.Diff([]string{"SDS -identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
		issuer.fail(nil)
		time.Sleep(reissueAfter)
		if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRefusedIdentityIsMadeAnewMoreAndMoreSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := &numbered{}
		server := newTestServer(t, func(o *Options) { o.Issuer = issuer })
		server.Publish(world{}, Change{})
		p := connect(t, server, 100)
		defer func() { _ = p.close() }()
		p.subscribe(TypeSecret, identityName)
		seen := map[string]bool{}
		for _, wait := range []time.Duration{
			time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
			16 * time.Second, 32 * time.Second, 64 * time.Second, 64 * time.Second,
		} {
			for _, r := range p.hear() {
				version := r.GetResources()[0].GetVersion()
				if seen[version] {
					t.Errorf("version %s was sent again after it was refused", version)
				}
				seen[version] = true
				p.nack(r, "Invalid path: /var/lib/heddle/key.pem")
			}
			time.Sleep(wait - 1)
			if got := p.hear(); len(got) > 0 {
				t.Errorf("sent %q before %s", told(got), wait)
			}
			time.Sleep(time.Nanosecond)
		}
		if len(seen) != 8 {
			t.Errorf("%d versions were sent, want 8", len(seen))
		}
		if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
		if rejected := server.Proxies()[0].Rejected; len(rejected) > 0 {
			t.Errorf("accepted at last, but rejected: %v", rejected)
		}
	})
}

func TestReissueAllReachesThoseWithAnIdentity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, server := holdingIdentity(t, &numbered{})
		defer func() { _ = p.close() }()
		without := connect(t, server, 100)
		defer func() { _ = without.close() }()
		without.subscribe(TypeListener)
		without.settle()

		server.ReissueAll()
		if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
			t.Error(diff)
		}
		if got := without.settle(); len(got) > 0 {
			t.Errorf("sent %q to a proxy that asked for no identity", got)
		}
	})
}

func TestLogsHoldNoCertificateRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		server := newTestServer(t, func(o *Options) {
			o.Log = funcr.New(func(prefix, args string) { lines = append(lines, prefix+args) }, funcr.Options{Verbosity: 9})
			o.Issuer = &numbered{err: errors.New("no")}
		})
		server.Publish(world{TypeListener: {"l": "1"}}, Change{})
		p := connect(t, server, 100)
		p.subscribe(TypeSecret, identityName)
		p.subscribe(TypeListener)
		for _, r := range p.hear() {
			p.nack(r, "no")
		}
		_ = p.close()
		if len(lines) == 0 || strings.Contains(strings.Join(lines, "\n"), "CSR") {
			t.Errorf("logged %q", lines)
		}
	})
}

func holdingIdentity(t *testing.T, issuer Issuer) (*proxy, *Server) {
	t.Helper()
	server := newTestServer(t, func(o *Options) { o.Issuer = issuer })
	server.Publish(world{}, Change{})
	p := connect(t, server, 100)
	p.subscribe(TypeSecret, identityName)
	if diff := cmp.Diff([]string{"SDS +identity"}, p.settle()); diff != "" {
		t.Fatal(diff)
	}
	return p, server
}
