//go:build linux

package redirect

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
)

const (
	appUID   = 0
	proxyUID = 1337
	podIP    = "10.9.0.2"
)

// newPod makes two connected namespaces: a pod with stand-ins for an app and
// its sidecar, and a peer that is everything else.
func newPod(t *testing.T) (pod, peer *namespace) {
	t.Helper()
	needRoot(t)
	pod, peer = newNamespace(t), newNamespace(t)
	peer.ip(t, fmt.Sprintf(`
		link add name veth type veth peer name eth0 netns %d
		link set lo up
		link set veth up
		addr add 10.9.0.1/24 dev veth
		addr add 10.96.0.7/32 dev veth
		addr add 192.0.2.7/32 dev veth
		-6 addr add fd00::1/64 dev veth nodad`, pod.tid))
	pod.ip(t, `
		link set lo up
		link set eth0 up
		addr add 10.9.0.2/24 dev eth0
		-6 addr add fd00::2/64 dev eth0 nodad
		route add default via 10.9.0.1`)

	remote := func(name string) func(net.Conn) string {
		return func(c net.Conn) string {
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			return name + " from " + host
		}
	}
	original := func(name string) func(net.Conn) string {
		return func(c net.Conn) string { return name + " for " + originalDestination(c) }
	}
	pod.serve(t, "tcp4", "0.0.0.0:15001", original("outbound"))
	pod.serve(t, "tcp4", "0.0.0.0:15006", original("inbound"))
	for _, port := range []string{"8080", "9090"} {
		pod.serve(t, "tcp", net.JoinHostPort("::", port), remote("app"))
	}
	for _, port := range []string{"15020", "15021"} {
		pod.serve(t, "tcp4", net.JoinHostPort("0.0.0.0", port), remote("open"))
	}
	for _, port := range []string{"80", "25"} {
		peer.serve(t, "tcp", net.JoinHostPort("::", port), remote("peer"))
	}
	return pod, peer
}

func applyIn(t *testing.T, ns *namespace, cfg Config) {
	t.Helper()
	rules, err := Rules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.do(func() error { return Apply(rules) }); err != nil {
		t.Fatal(err)
	}
}

func TestApplyRedirects(t *testing.T) {
	pod, peer := newPod(t)
	// A new link may need a moment for IPv6; a refusal before that would
	// prove nothing.
	before := ""
	for range 10 {
		if before = peer.call(appUID, "tcp", "", "[fd00::2]:8080"); before == "app from fd00::1" {
			break
		}
	}
	if before != "app from fd00::1" {
		t.Fatalf("before the rules IPv6 doesn't work: %s", before)
	}
	cfg := plain()
	cfg.ExcludeInboundPorts = []uint16{9090}
	cfg.ExcludeOutboundPorts = []uint16{25}
	cfg.ExcludeOutboundPrefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	applyIn(t, pod, cfg)

	tests := map[string]struct {
		in       *namespace
		uid      uint32
		from, to string
		want     string
	}{
		"the app calls a service":                       {in: pod, to: "10.96.0.7:80", want: "outbound for 10.96.0.7:80"},
		"the app calls an excluded port":                {in: pod, to: "10.96.0.7:25", want: "peer from " + podIP},
		"the app calls an excluded address":             {in: pod, to: "192.0.2.7:80", want: "peer from " + podIP},
		"the app calls itself on loopback":              {in: pod, to: "127.0.0.1:8080", want: "app from 127.0.0.1"},
		"the app calls another loopback address":        {in: pod, to: "127.0.0.53:8080", want: "app from 127.0.0.1"},
		"the app calls its own pod address":             {in: pod, to: podIP + ":8080", want: "app from " + podIP},
		"the proxy calls a service":                     {in: pod, uid: proxyUID, to: "10.96.0.7:80", want: "peer from " + podIP},
		"the proxy calls its own pod":                   {in: pod, uid: proxyUID, to: podIP + ":8080", want: "inbound for " + podIP + ":8080"},
		"the proxy calls an excluded port of its pod":   {in: pod, uid: proxyUID, to: podIP + ":9090", want: "app from " + podIP},
		"the proxy calls the app on loopback":           {in: pod, uid: proxyUID, to: "127.0.0.1:8080", want: "app from 127.0.0.1"},
		"the proxy forwards to the app":                 {in: pod, uid: proxyUID, from: "127.0.0.6", to: podIP + ":8080", want: "app from 127.0.0.6"},
		"the proxy forwards to its outbound listener":   {in: pod, uid: proxyUID, from: "127.0.0.6", to: podIP + ":15001", want: "refused"},
		"the proxy calls its outbound listener":         {in: pod, uid: proxyUID, to: "127.0.0.1:15001", want: "refused"},
		"the proxy calls its inbound listener":          {in: pod, uid: proxyUID, to: podIP + ":15006", want: "refused"},
		"a peer calls the app":                          {in: peer, to: podIP + ":8080", want: "inbound for " + podIP + ":8080"},
		"a peer with the proxy's uid calls the app":     {in: peer, uid: proxyUID, to: podIP + ":8080", want: "inbound for " + podIP + ":8080"},
		"a peer calls a port where nothing listens":     {in: peer, to: podIP + ":8081", want: "inbound for " + podIP + ":8081"},
		"a peer calls an excluded port":                 {in: peer, to: podIP + ":9090", want: "app from 10.9.0.1"},
		"a peer calls the statistics":                   {in: peer, to: podIP + ":15020", want: "open from 10.9.0.1"},
		"a peer calls the health port":                  {in: peer, to: podIP + ":15021", want: "open from 10.9.0.1"},
		"a peer calls the outbound listener":            {in: peer, to: podIP + ":15001", want: "timeout"},
		"a peer calls the inbound listener":             {in: peer, to: podIP + ":15006", want: "timeout"},
		"a peer calls over IPv6":                        {in: peer, to: "[fd00::2]:8080", want: "refused"},
		"a peer calls an excluded port over IPv6":       {in: peer, to: "[fd00::2]:9090", want: "refused"},
		"the app calls over IPv6":                       {in: pod, to: "[fd00::1]:80", want: "refused"},
		"the proxy calls over IPv6":                     {in: pod, uid: proxyUID, to: "[fd00::1]:80", want: "refused"},
		"the app calls itself on IPv6 loopback":         {in: pod, to: "[::1]:8080", want: "app from ::1"},
		"the app calls its own pod address over IPv6":   {in: pod, to: "[fd00::2]:8080", want: "app from fd00::2"},
		"the peer's own traffic isn't touched":          {in: peer, to: "127.0.0.1:80", want: "peer from 127.0.0.1"},
		"the peer's own IPv6 traffic isn't touched":     {in: peer, to: "[::1]:80", want: "peer from ::1"},
		"the app calls a port that nobody excluded":     {in: pod, to: "198.51.100.1:443", want: "outbound for 198.51.100.1:443"},
		"the app calls the statistics of another pod":   {in: pod, to: "10.96.0.7:15020", want: "outbound for 10.96.0.7:15020"},
		"the app calls the health port of its own pod":  {in: pod, to: podIP + ":15021", want: "open from " + podIP},
		"the proxy calls the health port of its pod":    {in: pod, uid: proxyUID, to: podIP + ":15021", want: "open from " + podIP},
		"the app sends from the pass address, to a pod": {in: pod, from: podIP, to: "10.9.0.1:80", want: "outbound for 10.9.0.1:80"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.in.call(tt.uid, "tcp", tt.from, tt.to); got != tt.want {
				t.Errorf("uid %d from %q to %s: got %q, want %q", tt.uid, tt.from, tt.to, got, tt.want)
			}
		})
	}
}

func TestApplyLeavesUDPAlone(t *testing.T) {
	pod, peer := newPod(t)
	applyIn(t, pod, plain())
	for name, addr := range map[string]string{"IPv4": podIP + ":5353", "IPv6": "[fd00::2]:5353"} {
		t.Run(name, func(t *testing.T) {
			var server, client net.Conn
			local, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := pod.do(func() (err error) { server, err = net.ListenUDP("udp", local); return err }); err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			if err := peer.do(func() (err error) { client, err = net.Dial("udp", addr); return err }); err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 16)
			_ = server.SetReadDeadline(deadline())
			n, err := server.Read(buf)
			if err != nil || string(buf[:n]) != "hello" {
				t.Errorf("datagram didn't arrive: %q, %v", buf[:n], err)
			}
		})
	}
}

// TestApplyIsIdempotent covers an init container that runs again, with the
// same and then with other settings, and a foreign table that must survive.
func TestApplyIsIdempotent(t *testing.T) {
	pod, peer := newPod(t)
	err := pod.do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.AddTable(&nftables.Table{Name: "foreign", Family: nftables.TableFamilyINet})
		return conn.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	applyIn(t, pod, plain())
	first := dump(t, pod)
	applyIn(t, pod, plain())
	if diff := cmp.Diff(first, dump(t, pod)); diff != "" {
		t.Errorf("the second run changed the ruleset:\n%s", diff)
	}
	if got := peer.call(appUID, "tcp", "", podIP+":9090"); got != "inbound for "+podIP+":9090" {
		t.Errorf("before the exclusion: %s", got)
	}
	cfg := plain()
	cfg.ExcludeInboundPorts = []uint16{9090}
	applyIn(t, pod, cfg)
	if got := peer.call(appUID, "tcp", "", podIP+":9090"); got != "app from 10.9.0.1" {
		t.Errorf("after the exclusion: %s", got)
	}
	applyIn(t, pod, plain())
	if diff := cmp.Diff(first, dump(t, pod)); diff != "" {
		t.Errorf("going back left something behind:\n%s", diff)
	}
}

// dump reads the kernel's tables, chains and rules.
func dump(t *testing.T, ns *namespace) []string {
	t.Helper()
	var out []string
	err := ns.do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			out = append(out, "table "+table.Name)
		}
		chains, err := conn.ListChains()
		if err != nil {
			return err
		}
		for _, chain := range chains {
			out = append(out, fmt.Sprintf("chain %s %s %d %d", chain.Name, chain.Type, *chain.Hooknum, *chain.Priority))
			rules, err := conn.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, rule := range rules {
				line := fmt.Sprintf("rule %q", rule.UserData)
				for _, e := range rule.Exprs {
					line += fmt.Sprintf(" %T%+v", e, e)
				}
				out = append(out, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
