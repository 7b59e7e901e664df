package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// gated is a world whose release waits for approval after its first step.
func gated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, cart()...)
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Spec.Analysis.StepWeights = nil
		c.Spec.Analysis.Steps = []heddlev1alpha1.CanaryStep{{Weight: 20, Pause: true}, {Weight: 60}}
	})
	w.until("Idle")
	w.release("v2")
	w.until("Waiting")
	return w
}

func (w *world) edit(change func(*heddlev1alpha1.Canary)) {
	w.Helper()
	canary := &heddlev1alpha1.Canary{}
	w.get("cart", canary)
	change(canary)
	if err := w.client.Update(w.Context(), canary); err != nil {
		w.Fatal(err)
	}
}

func (w *world) ask(request string) {
	w.Helper()
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Annotations = map[string]string{heddlev1alpha1.AnnotationRequest: request}
	})
}

func (w *world) split() splitv1alpha4.TrafficSplitSpec {
	w.Helper()
	split := &splitv1alpha4.TrafficSplit{}
	w.get("cart", split)
	return split.Spec
}

func TestAGateWaitsForApproval(t *testing.T) {
	t.Parallel()
	w := gated(t)
	for range 70 { // beyond the deadline
		w.tick()
	}
	if s := w.canary(); s.Phase != "Waiting" || s.Weight != 20 || !strings.Contains(s.Message, "approval") {
		t.Fatalf("status = %+v", s)
	}
	w.ask("promote@other")
	w.tick()
	if s := w.canary(); s.Phase != "Waiting" || s.HandledRequest != "promote@other" || w.events[len(w.events)-1] != "RequestIgnored" {
		t.Fatalf("a request for another revision led to %+v, events %v", s, w.events)
	}
	w.ask("approve@" + w.canary().Revision)
	if got := w.until("Succeeded"); !equal(got, 60, 0) {
		t.Errorf("weights = %v", got)
	}
	w.serves("v2")
}

// TestCaseO49_RollBackWhileWaitingAtAGate: a candidate that starts to fail at a
// closed gate is rolled back, and so is one that somebody aborts.
func TestCaseO49_RollBackWhileWaitingAtAGate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happens func(*world)
		ends    heddlev1alpha1.CanaryPhase
		event   string
	}{
		"on failed checks": {func(w *world) { w.sample.Bad = 50; w.tick() }, "Failed", "RolledBack"},
		"on request":       {func(w *world) { w.ask("abort") }, "Aborted", "Aborted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := gated(t)
			tc.happens(w)
			w.tick()
			if b := w.split().Backends; b[1].Weight != 0 || b[0].Weight != 100 {
				t.Errorf("after one interval: %+v", b)
			}
			w.until(tc.ends)
			w.serves("v1")
			if got := w.events[len(w.events)-1]; got != tc.event {
				t.Errorf("last event = %s, want %s", got, tc.event)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	w := gated(t)
	w.ask("abort 1")
	w.until("Aborted")
	w.ask("retry 1")
	w.until("Progressing")
	w.ask("pause 1")
	w.until("Waiting")
	weight := w.canary().Weight
	for range 100 {
		w.tick()
	}
	if s := w.canary(); !s.Paused || s.Weight != weight {
		t.Fatalf("status = %+v", s)
	}
	w.ask("resume 1")
	w.until("Waiting") // at the gate
	if s := w.canary(); s.Paused || s.Weight != 20 {
		t.Fatalf("status = %+v", s)
	}
	w.ask("promote 1")
	if got := w.until("Succeeded"); !equal(got, 20, 0) {
		t.Errorf("weights = %v", got)
	}
	w.serves("v2")
	w.ask("retry 2")
	w.tick()
	if s := w.canary(); s.Phase != "Succeeded" || w.events[len(w.events)-1] != "RequestIgnored" {
		t.Errorf("status = %+v, events %v", s, w.events)
	}
}

// TestCaseO47_AutoscalersDontStartReleases: replicas and annotations of the
// Deployment are no new revision.
func TestCaseO47_AutoscalersDontStartReleases(t *testing.T) {
	t.Parallel()
	w := gated(t)
	for _, replicas := range []int32{5, 3} {
		d := &appsv1.Deployment{}
		w.get("cart", d)
		d.Spec.Replicas = &replicas
		d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "7"}
		if err := w.client.Update(w.Context(), d); err != nil {
			t.Fatal(err)
		}
		w.tick()
		w.get("cart", d)
		if s := w.canary(); s.Phase != "Waiting" || s.Weight != 20 || *d.Spec.Replicas != replicas {
			t.Errorf("status = %+v with %d replicas", s, *d.Spec.Replicas)
		}
	}
}

// TestCaseO52_NewRevisionWhileOneIsAnalysed: the release starts again with
// nothing of the first, at a gate as at a step.
func TestCaseO52_NewRevisionWhileOneIsAnalysed(t *testing.T) {
	t.Parallel()
	w := gated(t)
	first := w.canary().Revision
	w.release("v3")
	w.tick()
	if s := w.canary(); s.Phase != "Progressing" || s.Weight != 0 || s.Step != 0 || s.Failures != 0 || s.Revision == first || w.split().Backends[1].Weight != 0 {
		t.Errorf("status = %+v, split %+v", s, w.split())
	}
	w.until("Waiting")
	w.ask("approve")
	w.until("Succeeded")
	w.serves("v3")
}

// TestCaseO57_AnUnhealthyPrimaryDoesNotBlockTheFix: the fix is released though
// what it mends isn't ready.
func TestCaseO57_AnUnhealthyPrimaryDoesNotBlockTheFix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.until("Idle")
	w.stuck = true
	w.release("v2")
	w.until("Promoting")
	w.stuck = false
	w.until("Succeeded")
	w.serves("v2")
}

// stale reads the Canary as it once was, as a leader does that was stopped for
// a while.
type stale struct {
	client.Client
	canary *heddlev1alpha1.Canary
	writes int
}

func (s *stale) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	if c, ok := o.(*heddlev1alpha1.Canary); ok {
		s.canary.DeepCopyInto(c)
		return nil
	}
	return s.Client.Get(ctx, key, o, options...) //nolint:wrapcheck // it is in the place of what it wraps
}

func (s *stale) Update(ctx context.Context, o client.Object, options ...client.UpdateOption) error {
	s.writes++
	return s.Client.Update(ctx, o, options...) //nolint:wrapcheck // it is in the place of what it wraps
}

// TestCaseO55_TwoLeaders: one that has seen old things moves nothing and says
// nothing.
func TestCaseO55_TwoLeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.until("Idle")
	w.release("v2")
	for w.canary().Weight != 20 {
		w.tick()
	}
	seen := &heddlev1alpha1.Canary{}
	w.get("cart", seen)
	for w.canary().Weight != 60 {
		w.tick()
	}
	old := &stale{Client: w.client, canary: seen}
	before := len(w.events)
	r := &Reconciler{Client: old, Events: w, Source: w, Clock: func() time.Time { return w.now.Add(20 * time.Second) }, Settle: w.r.Settle}
	if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "cart"}}); err != nil {
		t.Fatal(err)
	}
	if old.writes != 0 || len(w.events) != before || w.split().Backends[1].Weight != 60 {
		t.Errorf("an old leader wrote %d times, said %v, split %+v", old.writes, w.events[before:], w.split())
	}
}
