package bootstrap

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsRoundTrip(t *testing.T) {
	t.Parallel()
	want := params().Settings
	want.TCPProbePorts = []uint16{80, 65535}
	want.MemoryLimitBytes = 1 << 29
	want.Exclude = Exclusions{
		InboundPorts:     []uint16{9090},
		OutboundPorts:    []uint16{25},
		OutboundPrefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	raw, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeSettings(raw)
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeSettings(f *testing.F) {
	f.Add(`{"xdsAddress":"a:1","xdsServerName":"a","trustDomain":"b","tcpProbePorts":[1]}`)
	f.Add(`{"exclude":{"outboundPrefixes":["10.0.0.0/8","::/0"]}}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := DecodeSettings(raw)
		if err != nil {
			return
		}
		text, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeSettings(text); err != nil {
			t.Fatalf("what was accepted isn't accepted again: %v", err)
		}
	})
}
