package main

import (
	"os"
	"testing"
	"time"
)

// Clients that misbehave cost nobody else anything and leave nothing behind; a
// restart of the operator costs its proxies a certificate each and no more.
func TestEndure(t *testing.T) {
	b := testBed(t, size{Services: 300, Proxies: 60})
	ctx := t.Context()

	stalled, err := b.stall(ctx, 5, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stalled)
	if stalled.CutOff != stalled.Clients {
		t.Errorf("%d of %d clients that don't read were cut off", stalled.CutOff, stalled.Clients)
	}

	dropped, err := b.drop(ctx, 600)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", dropped)
	if grown := dropped.After.HeapBytes - dropped.Before.HeapBytes; grown > dropped.Before.HeapBytes/4 {
		t.Errorf("the heap has grown by %d KiB, from %d", grown>>10, dropped.Before.HeapBytes>>10)
	}

	churned, err := (&churn{bed: b, rate: 100, long: 2 * time.Minute, visit: true}).run(ctx, 15*time.Second, func(s sample) { t.Logf("%+v", s) })
	if err != nil {
		t.Fatal(err)
	}
	if churned.Changes < 100 {
		t.Errorf("%d changes are no churn", churned.Changes)
	}
	first, last := churned.Samples[0].Vitals, churned.Samples[len(churned.Samples)-1].Vitals
	if grown := last.HeapBytes - first.HeapBytes; grown > first.HeapBytes/4 {
		t.Errorf("the heap has grown by %d KiB, from %d", grown>>10, first.HeapBytes>>10)
	}

	back, err := b.restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", back)
	if back.Known < 300*60 {
		t.Errorf("the proxies know %d resources, which is not all", back.Known)
	}
	if back.Sent != back.Certificates || back.Certificates != back.Proxies {
		t.Errorf("%d proxies were sent %d resources, %d of them certificates; want one certificate each", back.Proxies, back.Sent, back.Certificates)
	}
}

func testBed(t *testing.T, s size) *bed {
	t.Helper()
	assets := os.Getenv(assetsVariable)
	if assets == "" {
		t.Skip(assetsVariable + " names no folder with kube-apiserver and etcd; `go run ./tests/lab envtest-assets` makes one")
	}
	t.Chdir("../..")
	b, err := prepare(t.Context(), options{assets: assets}, s, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	return b
}
