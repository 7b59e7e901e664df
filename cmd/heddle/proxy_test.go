package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/sidecar/xds"
)

func TestMergeKeepsTheNewestConnectionOfEachPod(t *testing.T) {
	t.Parallel()
	older, newer := proxyStatus("shop", "cart-1"), proxyStatus("shop", "cart-1")
	newer.ConnectedAt = newer.ConnectedAt.Add(time.Minute)
	for _, lists := range [][]xds.ProxyList{
		{{Operator: "a", Proxies: []xds.ProxyStatus{older}}, {Operator: "b", Proxies: []xds.ProxyStatus{newer}}},
		{{Operator: "b", Proxies: []xds.ProxyStatus{newer}}, {Operator: "a", Proxies: []xds.ProxyStatus{older}}},
	} {
		if got := merge(lists); len(got) != 1 || got[0].Operator != "b" {
			t.Errorf("merged = %+v", got)
		}
	}
}

func TestProxyStatusGoldenOutput(t *testing.T) {
	t.Parallel()
	busy := proxyStatus("shop", "web-1")
	busy.Synced = false
	busy.Types[1] = xds.TypeStatus{Type: "EDS", Sent: 4, Acked: 2, Pending: 1}
	busy.Types = busy.Types[1:]
	busy.Rejected = []xds.Rejection{{Type: "VHDS", Name: "outbound/10.96.3.4:80", Origin: "TrafficSplit shop/cart", Message: "line one\nline two", Since: noon.Add(-5 * time.Minute)}}
	fresh := proxyStatus("bank", "ledger-0")
	fresh.Types, fresh.CertificateExpires = nil, time.Time{}
	var out strings.Builder
	printProxies(&out, merge([]xds.ProxyList{{Operator: "a", Proxies: []xds.ProxyStatus{busy, proxyStatus("shop", "cart-1")}}, {Operator: "b", Proxies: []xds.ProxyStatus{fresh}}}), noon)
	golden(t, "proxy-status.txt", out.String())
}

func TestProxyStatusCommand(t *testing.T) {
	t.Parallel()
	refused := func(m *mesh) {
		m.proxies["heddle-operator-0"].Proxies[0].Rejected = []xds.Rejection{{Type: "LDS", Name: "inbound", Message: "no"}}
	}
	tests := map[string]struct {
		args    []string
		harm    func(*mesh)
		want    string
		wantErr string
	}{
		"prints all namespaces without being asked": {args: []string{"proxy", "status"}, want: "shop/web-1"},
		"prints one pod":                                 {args: []string{"proxy", "status", "cart-1"}, want: "shop/cart-1"},
		"says that a pod is not served":                  {args: []string{"proxy", "status", "nope"}, wantErr: `"nope"`},
		"says that no sidecar of the namespace is":       {args: []string{"proxy", "status", "-n", "other"}, want: "No sidecar is connected."},
		"prints YAML with the operator that serves":      {args: []string{"proxy", "status", "-o", "yaml"}, want: "operator: heddle-operator-0"},
		"refuses a format it does not know":              {args: []string{"proxy", "status", "-o", "xml"}, wantErr: "xml"},
		"prints refusals and succeeds":                   {args: []string{"proxy", "status"}, harm: refused, want: "refused LDS inbound"},
		"fails for refusals when asked to":               {args: []string{"proxy", "status", "--fail"}, harm: refused, wantErr: errFound.Error()},
		"says so when there is no operator":              {args: []string{"proxy", "status"}, harm: func(m *mesh) { m.operator = nil }, wantErr: "find the operator"},
		"says so when the operator's pod does not run":   {args: []string{"proxy", "status"}, harm: func(m *mesh) { m.pods = m.pods[1:] }, wantErr: "no operator pod is running"},
		"fails when an operator's proxies are not known": {args: []string{"proxy", "status"}, harm: func(m *mesh) { m.proxiesErr = errors.New("reset") }, wantErr: "reset"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			if tc.harm != nil {
				tc.harm(m)
			}
			out, err := m.heddle(t, tc.args...)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error = %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || !strings.Contains(out, tc.want) {
				t.Errorf("error %v, output without %q:\n%s", err, tc.want, out)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		harm func(*mesh)
		want string
	}{
		"names client, operator and sidecars": {args: []string{"version"}, want: "heddle:    dev\noperator:  v0.1.0\nsidecars:  2 at v0.1.0\n"},
		"asks no cluster when told so":        {args: []string{"version", "--client"}, want: "heddle:    dev\n"},
		"is no error without an operator":     {args: []string{"version"}, harm: func(m *mesh) { m.operator = nil }, want: "heddle:    dev\ncluster:   there is no operator in namespace heddle-system\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			if tc.harm != nil {
				tc.harm(m)
			}
			if out, err := m.heddle(t, tc.args...); err != nil || out != tc.want {
				t.Errorf("error %v, output %q, want %q", err, out, tc.want)
			}
		})
	}
}
