package main

import (
	"encoding/xml"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// What a proxy reads of a response is what is in it, whoever made it.
func TestHeads(t *testing.T) {
	t.Parallel()
	raw, err := proto.Marshal(&discoveryv3.DeltaDiscoveryResponse{
		SystemVersionInfo: "v", TypeUrl: xds.TypeCluster, Nonce: "7",
		Resources: []*discoveryv3.Resource{{Name: "a"}, {Name: "b"}}, RemovedResources: []string{"c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	typeURL, nonce, resources, err := received(raw).heads()
	if err != nil || typeURL != xds.TypeCluster || nonce != "7" || resources != 3 {
		t.Errorf("%s, %s, %d, %v", typeURL, nonce, resources, err)
	}
	for _, size := range []int{0, 200, 70_000} {
		made := response(xds.TypeEndpoints, "12", size)
		if typeURL, nonce, _, err = received(made).heads(); err != nil || typeURL != xds.TypeEndpoints || nonce != "12" {
			t.Errorf("%s, %s, %v", typeURL, nonce, err)
		}
		if size >= 200 && (len(made) < size-8 || len(made) > size+8) {
			t.Errorf("%d bytes, want %d", len(made), size)
		}
		var read discoveryv3.DeltaDiscoveryResponse
		if err := proto.Unmarshal(made, &read); err == nil && read.GetNonce() != "12" {
			t.Errorf("nonce %q", read.GetNonce())
		}
	}
}

func FuzzHeads(f *testing.F) {
	f.Add([]byte(response(xds.TypeCluster, "1", 100)))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want discoveryv3.DeltaDiscoveryResponse
		typeURL, nonce, _, err := received(raw).heads()
		if proto.Unmarshal(raw, &want) == nil && (err != nil || typeURL != want.GetTypeUrl() || nonce != want.GetNonce()) {
			t.Errorf("%q, %q, %v; want %q, %q", typeURL, nonce, err, want.GetTypeUrl(), want.GetNonce())
		}
	})
}

func TestReadSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]size{
		"100x100": {100, 100}, "1000x3000": {1000, 3000},
		"": {}, "100": {}, "x": {}, "1x1": {}, "10x101": {}, "10x0": {}, "10x-1": {}, "10x10x10": {},
	} {
		if got, err := readSize(text); got != want || (err == nil) != (want != size{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestReportIsATable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report{Size: "2x1", Calls: 10, Repeat: 3, Rows: []row{
		{What: "initial sync", Heddle: figures{LastMS: 300, CPUMS: 20, Proxies: 1, PeakBytes: 3 << 20}, Floor: figures{LastMS: 100, CPUMS: 10}},
		{What: "weight", Heddle: figures{P50MS: 1, P99MS: 2, LastMS: 2}},
	}}.write(&out)
	for _, want := range []string{"each calls 10", "3.0", "2.0", "initial sync"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// What stays level has no trend, whatever it does between; what grows has one.
func TestTrend(t *testing.T) {
	t.Parallel()
	level, growing := make([]sample, 20), make([]sample, 20)
	for i := range level {
		level[i].RSS, growing[i].RSS = int64(100+i%3), int64(100+5*i)
	}
	rss := func(s sample) float64 { return float64(s.RSS) }
	if got := trend(level, rss); got > 0.02 || got < -0.02 {
		t.Errorf("%v for what stays level", got)
	}
	if got := trend(growing, rss); got < 0.4 {
		t.Errorf("%v for what grows from 105 to 190", got)
	}
	if got := trend(growing[:5], rss); got != 0 {
		t.Errorf("%v for too few samples to tell", got)
	}
}

// A picture has a curve for each change, a point for each size, and is XML whatever
// changes are called.
func TestPlot(t *testing.T) {
	t.Parallel()
	at := func(size string, cpu float64) report {
		return report{Size: size, Rows: []row{
			{What: "initial sync", Heddle: figures{CPUMS: 1000}},
			{What: "a < b", Heddle: figures{P50MS: 1, CPUMS: cpu}},
			{What: "weight", Heddle: figures{P50MS: 1, CPUMS: 2 * cpu}},
		}}
	}
	if _, err := growth([]report{at("100x10", 1)}); err == nil {
		t.Error("one size shows no growth")
	}
	curves, err := growth([]report{at("100x10", 1), at("1000x10", 2), at("10000x10", 3)})
	if err != nil {
		t.Fatal(err)
	}
	picture := draw("title", curves)
	var parsed struct {
		Lines []struct {
			Points string `xml:"points,attr"`
		} `xml:"polyline"`
		Circles []struct{} `xml:"circle"`
	}
	if err := xml.Unmarshal([]byte(picture), &parsed); err != nil {
		t.Fatal(err)
	}
	if len(parsed.Lines) != 2 || len(parsed.Circles) != 6 {
		t.Fatalf("%d lines and %d points, want 2 and 6", len(parsed.Lines), len(parsed.Circles))
	}
	// Decades are as wide as each other, and what grows evenly is a straight line.
	if want := "60.0,265.0 285.0,220.0 510.0,175.0"; parsed.Lines[0].Points != want {
		t.Errorf("%q, want %q", parsed.Lines[0].Points, want)
	}
}
