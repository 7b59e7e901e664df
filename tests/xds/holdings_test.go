package xds_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
)

// TestWhatASidecarHolds prints how long a stock Envoy takes to be ready, and what
// memory it holds, by the Services that there are and those that it has called.
// HEDDLE_SERVICES lists their numbers; without it there are few, and it's the
// holding that is checked: what isn't called isn't there.
func TestWhatASidecarHolds(t *testing.T) {
	sizes := os.Getenv("HEDDLE_SERVICES")
	if sizes == "" {
		sizes = "50"
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 10 {
			t.Fatalf("HEDDLE_SERVICES: %q is not a number from 10 on", text)
		}
		t.Run(text, func(t *testing.T) {
			snapshot, _ := build.Build(many(n))
			begin := time.Now()
			p := startProxy(t, snapshot)
			p.await(envoy.Ready, http.StatusOK)
			ready := time.Since(begin)
			p.synced("all that is sent unasked")
			fresh, own := p.resident(), p.clusters()
			p.callEach(10)
			p.eventually("10 Services are held", func() bool { return p.clusters()-own == 10 })
			few := p.resident()
			p.callEach(n)
			p.eventually("all are held", func() bool { return p.clusters()-own == n })
			t.Logf("%d Services: ready after %d ms; %.0f MiB, %.0f with 10 of them called, %.0f with all",
				n, ready.Milliseconds(), mebibytes(fresh), mebibytes(few), mebibytes(p.resident()))
		})
	}
}

// many are so many Services with three endpoints each, and the pod.
func many(n int) build.Objects {
	objects := build.Objects{Pods: []*corev1.Pod{cart()}}
	for i := range n {
		address := func(j int) string { return fmt.Sprintf("10.%d.%d.%d", 100+j, i/250, 1+i%250) }
		addService(&objects, fmt.Sprint("service-", i), fmt.Sprintf("10.96.%d.%d", i/250, 1+i%250), address(0), address(1), address(2))
	}
	return objects
}

// callEach calls the first n Services, behind which nobody is.
func (p *proxy) callEach(n int) {
	p.t.Helper()
	for i := range n {
		if code := p.request(fmt.Sprintf("http/shop/service-%d/%d", i, portWeb)); code != http.StatusServiceUnavailable {
			p.t.Fatalf("service-%d: %d", i, code)
		}
	}
}

// clusters is how many the proxy has acknowledged.
func (p *proxy) clusters() int {
	held := 0
	for _, status := range p.server.Proxies() {
		for _, one := range status.Types {
			if one.Type == "CDS" {
				held += one.Acked
			}
		}
	}
	return held
}

// resident is the memory that the proxy holds, in bytes.
func (p *proxy) resident() int {
	p.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(raw)[1]))
	if err != nil {
		p.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func mebibytes(n int) float64 { return float64(n) / (1 << 20) }
