package redirect

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func plain() Config {
	return Config{OutboundPort: 15001, InboundPort: 15006, OpenPorts: []uint16{15020, 15021}, ProxyUID: 1337}
}

func TestRulesGolden(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Config){
		"plain": func(*Config) {},
		"exclusions": func(c *Config) {
			c.ExcludeInboundPorts = []uint16{9090}
			c.ExcludeOutboundPorts = []uint16{25, 465}
			c.ExcludeOutboundPrefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.1.2.3/32")}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := plain()
			change(&cfg)
			rules, err := Rules(cfg)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".nft")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(rules.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run with -update to make it", err)
			}
			if diff := cmp.Diff(string(want), rules.String()); diff != "" {
				t.Errorf("ruleset differs (-want +got); -update rewrites it:\n%s", diff)
			}
		})
	}
}

func TestRulesRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Config){
		"a missing outbound port":                    func(c *Config) { c.OutboundPort = 0 },
		"a missing inbound port":                     func(c *Config) { c.InboundPort = 0 },
		"one port for both directions":               func(c *Config) { c.InboundPort = c.OutboundPort },
		"root as the proxy's user":                   func(c *Config) { c.ProxyUID = 0 },
		"an open port that is the inbound listener":  func(c *Config) { c.OpenPorts = []uint16{15006} },
		"an exclusion that is the outbound listener": func(c *Config) { c.ExcludeInboundPorts = []uint16{15001} },
		"excluded port 0":                            func(c *Config) { c.ExcludeOutboundPorts = []uint16{0} },
		"an IPv6 prefix": func(c *Config) {
			c.ExcludeOutboundPrefixes = []netip.Prefix{netip.MustParsePrefix("fd00::/8")}
		},
		"a prefix that isn't one": func(c *Config) { c.ExcludeOutboundPrefixes = []netip.Prefix{{}} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := plain()
			change(&cfg)
			if rules, err := Rules(cfg); err == nil {
				t.Errorf("Rules accepted it:\n%s", rules)
			}
		})
	}
}

// TestRulesProperties checks what must hold whatever is excluded: the order
// of lists doesn't show, both directions end in a redirection of all TCP, and
// the guards against IPv6 and self-calls are there.
func TestRulesProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := plain()
		port := rapid.Uint16Range(1, 14999)
		cfg.ExcludeInboundPorts = rapid.SliceOf(port).Draw(t, "inbound")
		cfg.ExcludeOutboundPorts = rapid.SliceOf(port).Draw(t, "outbound")
		rules, err := Rules(cfg)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := cfg
		shuffled.ExcludeInboundPorts = slices.Clone(cfg.ExcludeInboundPorts)
		slices.Reverse(shuffled.ExcludeInboundPorts)
		shuffled.ExcludeOutboundPorts = append(slices.Clone(cfg.ExcludeOutboundPorts), cfg.ExcludeOutboundPorts...)
		again, err := Rules(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rules.String(), again.String()); diff != "" {
			t.Fatalf("order or repeats of exclusions show:\n%s", diff)
		}
		for _, c := range rules.Chains {
			last := c.Rules[len(c.Rules)-1]
			if c.Kind == NAT {
				if _, ok := last.Verdict.(Redirect); !ok {
					t.Fatalf("chain %s ends with %v", c.Name, last)
				}
			}
			if c.Name == "refuse-inbound" || c.Name == "guard-outbound" {
				if last.Verdict != (Reset{}) || last.Match[0] != (IPv6{}) {
					t.Fatalf("chain %s doesn't refuse IPv6 at its end: %v", c.Name, last)
				}
			}
		}
	})
}
