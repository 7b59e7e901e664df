package bootstrap

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func params() Params {
	return Params{
		Namespace:      "shop",
		Pod:            "web-7d9c-x2",
		ServiceAccount: "web",
		PodUID:         "5c0d9a2e",
		InitVersion:    "v1.2.3",
		CSR:            "(certificate request)",
		PodIP:          netip.MustParseAddr("10.244.0.7"),
		Settings: Settings{
			XDSAddress:    "heddle-operator.heddle-system.svc:15012",
			XDSServerName: "heddle-operator.heddle-system.svc",
			TrustDomain:   "cluster.local",
		},
	}
}

// cases are the bootstraps that are compared with files and shown to Envoy.
func cases() map[string]Params {
	plain := params()
	full := params()
	full.Settings.MemoryLimitBytes = 512 << 20
	full.Settings.TCPProbePorts = []uint16{5432, 8080}
	return map[string]Params{"plain": plain, "tcp-probes-and-memory-limit": full}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update to make it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", file, diff)
	}
}

func renderJSON(t *testing.T, p Params) []byte {
	t.Helper()
	b, err := Render(p)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := JSON(b)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	for name, p := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := yaml.JSONToYAML(renderJSON(t, p))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".yaml", text)
		})
	}
}

func TestSecretsGolden(t *testing.T) {
	t.Parallel()
	for name, render := range map[string]func() ([]byte, error){"sds-token.yaml": TokenSecret, "sds-xds-ca.yaml": XDSCASecret} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := render()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, raw)
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Params){
		"a missing pod name":                 func(p *Params) { p.Pod = "" },
		"a missing service account":          func(p *Params) { p.ServiceAccount = "" },
		"a missing certificate request":      func(p *Params) { p.CSR = "" },
		"an xDS address without a port":      func(p *Params) { p.Settings.XDSAddress = "operator" },
		"an xDS address with port 0":         func(p *Params) { p.Settings.XDSAddress = "operator:0" },
		"an xDS address without a host":      func(p *Params) { p.Settings.XDSAddress = ":15012" },
		"an xDS server without a name":       func(p *Params) { p.Settings.XDSServerName = "" },
		"TCP probes without an address":      func(p *Params) { p.PodIP = netip.Addr{}; p.Settings.TCPProbePorts = []uint16{80} },
		"TCP probes at an IPv6 address":      func(p *Params) { p.PodIP = netip.IPv6Loopback(); p.Settings.TCPProbePorts = []uint16{80} },
		"a TCP probe of port 0":              func(p *Params) { p.Settings.TCPProbePorts = []uint16{0} },
		"TCP probe ports that aren't sorted": func(p *Params) { p.Settings.TCPProbePorts = []uint16{81, 80} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := params()
			change(&p)
			if _, err := Render(p); err == nil {
				t.Error("Render accepted it")
			}
		})
	}
}

// TestRenderHasNoClusterSubscription guards what on-demand delivery rests on:
// with a cds_config Envoy would subscribe to every cluster of the mesh.
func TestRenderHasNoClusterSubscription(t *testing.T) {
	t.Parallel()
	b, err := Render(params())
	if err != nil {
		t.Fatal(err)
	}
	if b.GetDynamicResources().GetCdsConfig() != nil {
		t.Error("the bootstrap has a cds_config")
	}
	if d := b.GetDynamicResources().GetLdsConfig().GetInitialFetchTimeout(); d == nil || d.AsDuration() != 0 {
		t.Errorf("listeners may time out after %v; the proxy would go live without them", d)
	}
}

func TestRenderIsAFunction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := params()
		p.Settings.TCPProbePorts = sortedPorts(rapid.MapOf(rapid.Uint16Min(1), rapid.Bool()).Draw(t, "ports"))
		first, err := Render(p)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Render(p)
		if err != nil {
			t.Fatal(err)
		}
		one, err := JSON(first)
		if err != nil {
			t.Fatal(err)
		}
		two, err := JSON(second)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(first, second) || string(one) != string(two) {
			t.Fatal("two renderings differ")
		}
		if want, got := 3+len(p.Settings.TCPProbePorts), len(first.GetStaticResources().GetClusters()); want != got {
			t.Fatalf("got %d clusters, want %d", got, want)
		}
	})
}

func TestEnvoyAcceptsTheBootstrap(t *testing.T) {
	t.Parallel()
	envoy := envoytest.Binary(t)
	for name, p := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := inDir(t, t.TempDir(), p)
			out, err := exec.Command(envoy, "--mode", "validate", "-c", config, "--log-level", "warning").CombinedOutput()
			if err != nil {
				t.Fatalf("envoy refuses it: %v\n%s", err, out)
			}
			if strings.Contains(strings.ToLower(string(out)), "deprecated") {
				t.Errorf("envoy warns:\n%s", out)
			}
		})
	}
}
