package metricsapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/util/wait"
)

// series is one as Prometheus keeps it: values at so many seconds before now.
type series struct {
	labels map[string]string
	values map[int]float64
}

// counted is a counter of requests that the pod answered.
func counted(pod string, values map[int]float64, more ...string) series {
	labels := map[string]string{
		"__name__": "heddle_request_total", "job": "heddle-proxies", "instance": pod, "namespace": "shop", "pod": pod,
		"destination_namespace": "shop", "destination_kind": "Deployment", "destination_name": "cart",
		"source_identity": "spiffe://cluster.local/ns/front/sa/web", "response_code": "200",
	}
	for i := 0; i < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return series{labels, values}
}

// up is for how long the pod's sidecar has run.
func up(pod string, values map[int]float64) series {
	return series{map[string]string{"__name__": uptime, "job": "heddle-proxies", "instance": pod, "namespace": "shop", "pod": pod}, values}
}

// A real Prometheus counts to the unit, whatever becomes of pods and of itself.
func TestGrowth(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	p := newStore(t)
	p.write(t, now, []series{
		counted("steady", map[int]float64{100: 90, 70: 100, 40: 110, 5: 130}), up("steady", map[int]float64{100: 500, 70: 530, 5: 595}),
		// The series begins with the first request to a sidecar that runs.
		counted("first", map[int]float64{20: 7, 5: 9}), up("first", map[int]float64{70: 500, 5: 565}),
		counted("new", map[int]float64{20: 5, 5: 6}), up("new", map[int]float64{20: 10, 5: 25}),
		// Prometheus knows nothing from before, where the sidecar has been busy.
		counted("busy", map[int]float64{30: 1000, 5: 1004}), up("busy", map[int]float64{30: 5000, 5: 5025}),
		counted("restarted", map[int]float64{70: 500, 40: 510, 5: 3}), up("restarted", map[int]float64{70: 900, 40: 930, 5: 12}),
		counted("gone", map[int]float64{70: 90, 40: 100}), up("gone", map[int]float64{70: 900, 40: 930}),
		counted("idle", map[int]float64{70: 8, 5: 8}), up("idle", map[int]float64{70: 900, 5: 965}),
		// Not every Prometheus keeps how long sidecars run.
		counted("unknown", map[int]float64{20: 4, 5: 6}),
		counted("plain", map[int]float64{70: 1, 5: 3}, "source_identity", ""),
		counted("envoy", map[int]float64{70: 1, 5: 4}, "__name__", "envoy_heddle_request_total"),
		// Outside of the mesh's namespace, called by nobody of it.
		counted("other", map[int]float64{70: 1, 5: 6}, "destination_namespace", "other", "source_identity", "spiffe://cluster.local/ns/third/sa/x"),
		counted("called", map[int]float64{70: 1, 5: 8}, "destination_namespace", "other", "source_identity", "spiffe://cluster.local/ns/shop/sa/web"),
	})
	all := map[string]float64{
		"steady": 30, "first": 9, "new": 6, "busy": 4, "restarted": 3, "gone": 10, "idle": 0, "unknown": 6, "plain": 2, "envoy": 3, "other": 5, "called": 7,
	}
	if diff := gocmp.Diff(all, p.requests(t, "", time.Minute, now)); diff != "" {
		t.Errorf("of all (-want +got):\n%s", diff)
	}
	delete(all, "other")
	if diff := gocmp.Diff(all, p.requests(t, "shop", time.Minute, now)); diff != "" {
		t.Errorf("of one namespace (-want +got):\n%s", diff)
	}
	if got := p.requests(t, "nowhere", time.Minute, now); len(got) != 0 {
		t.Errorf("of a namespace without traffic: %v", got)
	}
	if got := p.requests(t, "shop", 20*time.Second, now)["steady"]; got != 20 {
		t.Errorf("%g in 20 s", got)
	}
}

func TestFailuresAndBuckets(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	p := newStore(t)
	grown := func(n float64) map[int]float64 { return map[int]float64{70: 100, 5: 100 + n} }
	bucket := func(le string, n float64) series {
		return counted("cart", grown(n), "__name__", "heddle_request_duration_ms_bucket", "le", le)
	}
	p.write(t, now, []series{
		counted("cart", grown(50)), counted("cart", grown(1), "response_code", "404"), counted("cart", grown(2), "response_code", "503"),
		counted("cart", grown(4), "grpc_status", "14"), counted("cart", grown(8), "grpc_status", "5"),
		counted("cart", grown(16), "response_code", "500", "grpc_status", "2"),
		bucket("5", 20), bucket("10", 60), bucket("+Inf", 81),
	})
	flows := p.flows(t, "shop", time.Minute, now)
	if len(flows) != 1 || flows[0].Requests != 81 || flows[0].Failures != 22 {
		t.Fatalf("%+v", flows)
	}
	if diff := gocmp.Diff(map[float64]float64{5: 20, 10: 60, math.Inf(1): 81}, flows[0].Buckets); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
}

// store is a stock Prometheus that scrapes nothing.
type store struct {
	url string
	*Prometheus
}

// newStore starts HEDDLE_PROMETHEUS, or the one that the lab keeps; where there is
// none it skips the test.
func newStore(t *testing.T) store {
	t.Helper()
	binary := os.Getenv("HEDDLE_PROMETHEUS")
	if binary == "" {
		base, _ := os.UserCacheDir()
		found, _ := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("HEDDLE_CACHE"), filepath.Join(base, "heddle")), "lab", "prometheus-*", "prometheus"))
		if len(found) == 0 {
			t.Skip("no Prometheus: set HEDDLE_PROMETHEUS, or have make lab-up build it")
		}
		binary = found[len(found)-1]
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	process := exec.CommandContext(t.Context(), binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.enable-remote-write-receiver")
	process.Stdout, process.Stderr = &log, &log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	s := store{url: "http://" + address}
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		return s.send(ctx, http.MethodGet, "/-/ready", nil) == nil, nil
	})
	if err != nil {
		t.Fatalf("Prometheus is not ready: %v", err)
	}
	if s.Prometheus, err = NewPrometheus(s.url); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s store) send(ctx context.Context, method, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"}}
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		var text bytes.Buffer
		_, err := text.ReadFrom(response.Body)
		return errors.Join(fmt.Errorf("%s: %s", response.Status, text.String()), err)
	}
	return nil
}

// write sends the series by Prometheus's protocol of remote writing: labels in
// order, samples in order.
func (s store) write(t *testing.T, now time.Time, all []series) {
	t.Helper()
	var request []byte
	for _, one := range all {
		var encoded []byte
		for _, name := range slices.Sorted(maps.Keys(one.labels)) {
			var label []byte
			label = protowire.AppendString(protowire.AppendTag(label, 1, protowire.BytesType), name)
			label = protowire.AppendString(protowire.AppendTag(label, 2, protowire.BytesType), one.labels[name])
			encoded = protowire.AppendBytes(protowire.AppendTag(encoded, 1, protowire.BytesType), label)
		}
		ago := slices.Sorted(maps.Keys(one.values))
		for i := len(ago) - 1; i >= 0; i-- {
			var sample []byte
			sample = protowire.AppendFixed64(protowire.AppendTag(sample, 1, protowire.Fixed64Type), math.Float64bits(one.values[ago[i]]))
			at := now.Add(-time.Duration(ago[i]) * time.Second).UnixMilli()
			sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(at)) //nolint:gosec // after 1970
			encoded = protowire.AppendBytes(protowire.AppendTag(encoded, 2, protowire.BytesType), sample)
		}
		request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), encoded)
	}
	if err := s.send(t.Context(), http.MethodPost, "/api/v1/write", snappy.Encode(nil, request)); err != nil {
		t.Fatal(err)
	}
}

func (s store) flows(t *testing.T, namespace string, window time.Duration, now time.Time) []*Flow {
	t.Helper()
	flows, err := s.Flows(t.Context(), namespace, window, now)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

// requests are counts by pod.
func (s store) requests(t *testing.T, namespace string, window time.Duration, now time.Time) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, f := range s.flows(t, namespace, window, now) {
		out[f.Pod.Name] += f.Requests
	}
	return out
}
