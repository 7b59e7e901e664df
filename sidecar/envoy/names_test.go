package envoy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// TestNames holds the names of resources still: proxies that run hold them.
func TestNames(t *testing.T) {
	t.Parallel()
	key := mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1a2b"}
	want := map[string]string{
		"virtual host":      "outbound/10.96.0.7:80",
		"virtual host, v6":  "outbound/[fd00:96::7]:80",
		"cluster of a port": "http/shop/cart/80",
		"tcp destination":   "tcp|10.96.0.7:80",
		"http destination":  "dst|[fd00:96::7]:80",
		"assignment":        "shop/cart/80",
		"inbound listener":  "inbound/shop/Deployment/cart/1a2b",
		"inbound routes":    "inbound/shop/cart",
		"plaintext routes":  "plaintext/shop/Deployment/cart/1a2b",
	}
	got := map[string]string{
		"virtual host":      VirtualHost(cartIP),
		"virtual host, v6":  VirtualHost(cartIPv6),
		"cluster of a port": HTTPCluster(cart),
		"tcp destination":   TCPCluster(cartIP),
		"http destination":  DirectCluster(cartIPv6),
		"assignment":        Assignment(cart),
		"inbound listener":  InboundListener(key),
		"inbound routes":    InboundRoutes(cartID),
		"plaintext routes":  PlaintextRoutes(key),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names have changed (-want +got):\n%s", diff)
	}
}

func TestParseDestination(t *testing.T) {
	t.Parallel()
	type parsed struct {
		Scheme Scheme
		Addr   string
	}
	tests := map[string]parsed{
		"tcp|10.96.0.7:80":          {SchemeTCP, "10.96.0.7:80"},
		"dst|10.96.0.7:65535":       {SchemeDirect, "10.96.0.7:65535"},
		"tcp|[fd00:96::7]:443":      {SchemeTCP, "[fd00:96::7]:443"},
		"dst|[::ffff:10.0.0.1]:443": {SchemeDirect, "[::ffff:10.0.0.1]:443"},
		"":                          {},
		"tcp|":                      {},
		"dst|":                      {},
		"http/shop/cart/80":         {},
		"10.96.0.7:80":              {},
		"TCP|10.96.0.7:80":          {},
		"tcp|dst|10.96.0.7:80":      {},
		"tcp|10.96.0.7":             {},
		"tcp|10.96.0.7:":            {},
		"tcp|10.96.0.7:0":           {},
		"tcp|10.96.0.7:080":         {},
		"tcp|10.96.0.7:65536":       {},
		"tcp|10.96.0.07:80":         {},
		"tcp|10.96.0.7:80 ":         {},
		"tcp|[FD00:96::7]:443":      {},
		"tcp|[fd00:96:0::7]:443":    {},
		"tcp|[fe80::1%eth0]:443":    {},
		"tcp|cart.shop:80":          {},
	}
	for name, want := range tests {
		scheme, addr, ok := ParseDestination(name)
		got := parsed{Scheme: scheme}
		if ok {
			got.Addr = addr.String()
		}
		if diff := cmp.Diff(want, got); diff != "" || ok != (want.Scheme != 0) {
			t.Errorf("%q: ok %t (-want +got):\n%s", name, ok, diff)
		}
	}
}

// FuzzParseDestination holds that a destination has one name and a name one
// destination.
func FuzzParseDestination(f *testing.F) {
	for _, name := range []string{
		"tcp|10.96.0.7:80", "dst|10.96.0.7:80", "tcp|[fd00:96::7]:443", "dst|[::ffff:1.2.3.4]:1", "tcp|[fe80::1%25eth0]:1",
		"tcp|0.0.0.0:0", "http/shop/cart/80", "tcp||", "dst|10.96.0.7:080",
	} {
		f.Add(name, []byte{10, 96, 0, 7}, uint16(80))
	}
	f.Add("", make([]byte, 16), uint16(0))
	f.Fuzz(func(t *testing.T, name string, ip []byte, port uint16) {
		switch scheme, addr, ok := ParseDestination(name); {
		case !ok && (scheme != 0 || addr.IsValid()):
			t.Errorf("%q is refused, but gives %v %v", name, scheme, addr)
		case ok && named(scheme, addr) != name:
			t.Errorf("%q gives %v, whose name is %q", name, addr, named(scheme, addr))
		}
		addr, ok := netip.AddrFromSlice(ip)
		dst := netip.AddrPortFrom(addr, port)
		for _, scheme := range []Scheme{SchemeTCP, SchemeDirect} {
			gotScheme, got, known := ParseDestination(named(scheme, dst))
			if usable := ok && port != 0; known != usable || usable && (gotScheme != scheme || got != dst) {
				t.Errorf("%v %v gives %q and that %v %v %t", scheme, dst, named(scheme, dst), gotScheme, got, known)
			}
		}
	})
}

func named(scheme Scheme, addr netip.AddrPort) string {
	if scheme == SchemeTCP {
		return TCPCluster(addr)
	}
	return DirectCluster(addr)
}
