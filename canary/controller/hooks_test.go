package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// hooked is a world with a hook of each type, named as its type.
func hooked(t *testing.T, types ...heddlev1alpha1.CanaryHookType) *world {
	t.Helper()
	w := newWorld(t, cart()...)
	w.nos = map[string]error{"rollback": errors.New("hook rollback: it answered 403")}
	w.edit(func(c *heddlev1alpha1.Canary) {
		for _, kind := range types {
			c.Spec.Analysis.Hooks = append(c.Spec.Analysis.Hooks, heddlev1alpha1.CanaryHook{Name: string(kind), Type: kind, URL: "http://hooks/" + string(kind)})
		}
	})
	w.until("Idle")
	w.calls = nil
	return w
}

// called returns the calls since the last time, without those of one hook, if
// it is named.
func (w *world) called(without string) []string {
	calls := slices.DeleteFunc(w.calls, func(c string) bool { return without != "" && strings.HasPrefix(c, without) })
	w.calls = nil
	return calls
}

// TestHooksOfARelease: all eight types are called, and as often as they should be
// when nobody objects.
func TestHooksOfARelease(t *testing.T) {
	t.Parallel()
	w := hooked(t, "confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback", "post-rollout", "event")
	w.release("v2")
	if got := w.until("Succeeded"); !equal(got, 0, 20, 60, 0) {
		t.Errorf("weights = %v", got)
	}
	got := w.called("rollback")
	for _, kind := range []string{"rollout Progressing", "event"} { // more than once, beside others
		if !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, kind) }) {
			t.Errorf("no %s among %q", kind, got)
		}
		got = slices.DeleteFunc(got, func(c string) bool { return strings.HasPrefix(c, kind) })
	}
	slices.Sort(got)
	want := []string{
		"confirm-promotion Progressing", "confirm-rollout Waiting", "confirm-traffic-increase Progressing", "confirm-traffic-increase Progressing",
		"post-rollout Succeeded", "pre-rollout Progressing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestClosedHooks: what each type does while it says no, and that it goes on
// when it says yes.
func TestClosedHooks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		hook   heddlev1alpha1.CanaryHookType
		phase  heddlev1alpha1.CanaryPhase
		weight int32
		failed int32
		says   string
	}{
		"keeps pods from starting":          {"confirm-rollout", "Waiting", 0, 0, "confirm-rollout comes first"},
		"keeps the first step away":         {"confirm-traffic-increase", "Waiting", 0, 0, "the candidate is ready and waits for confirm-traffic-increase"},
		"keeps from promoting":              {"confirm-promotion", "Waiting", 60, 0, "step 2 of 2 passed (success rate 100.0 %) and waits for confirm-promotion"},
		"fails a check before traffic":      {"pre-rollout", "Failed", 0, 2, "hook says no"},
		"fails a check beside the metrics":  {"rollout", "Failed", 0, 2, "hook says no"},
		"is only told that it is over":      {"post-rollout", "Succeeded", 0, 0, "was promoted"},
		"is only told of what happens":      {"event", "Succeeded", 0, 0, "was promoted"},
		"asks for no rollback by saying no": {"rollback", "Succeeded", 0, 0, "was promoted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := hooked(t, tc.hook)
			w.nos[string(tc.hook)] = errors.New("hook says no")
			w.release("v2")
			for range 70 { // beyond the deadline
				w.tick()
			}
			if s := w.canary(); s.Phase != tc.phase || s.Weight != tc.weight || s.Failures != tc.failed || !strings.Contains(s.Message, tc.says) {
				t.Fatalf("status = %+v", s)
			}
			target := &appsv1.Deployment{}
			w.get("cart", target)
			if runs := tc.phase == "Waiting" && tc.hook != "confirm-rollout"; (*target.Spec.Replicas > 0) != runs {
				t.Errorf("the candidate has %d pods", *target.Spec.Replicas)
			}
			if tc.phase == "Waiting" {
				delete(w.nos, string(tc.hook))
				w.until("Succeeded")
				w.serves("v2")
			}
		})
	}
}

// TestCaseO49_ARollbackHookIsAskedAtAClosedGate: also before there is traffic.
func TestCaseO49_ARollbackHookIsAskedAtAClosedGate(t *testing.T) {
	t.Parallel()
	for _, closed := range []heddlev1alpha1.CanaryHookType{"confirm-rollout", "confirm-promotion"} {
		t.Run(string(closed), func(t *testing.T) {
			t.Parallel()
			w := hooked(t, closed, "rollback")
			w.nos[string(closed)] = errors.New("hook says no")
			w.release("v2")
			w.until("Waiting")
			for w.canary().Awaits != closed || w.canary().CheckedAt.Time.IsZero() {
				w.tick()
			}
			delete(w.nos, "rollback")
			w.tick()
			if b := w.split().Backends; b[1].Weight != 0 || w.canary().Phase != "RollingBack" {
				t.Errorf("after one interval: %+v, %+v", b, w.canary())
			}
			w.until("Failed")
			w.serves("v1")
			if s := w.canary(); !strings.Contains(s.Message, "hook rollback asks for a rollback") {
				t.Errorf("message = %s", s.Message)
			}
			w.called("")
			w.tick()
			w.tick()
			if calls := w.called(""); len(calls) != 0 {
				t.Errorf("still calls %v", calls)
			}
		})
	}
}

func TestApprovalGoesBeforeAHook(t *testing.T) {
	t.Parallel()
	w := hooked(t, "confirm-rollout")
	w.nos["confirm-rollout"] = errors.New("hook says no")
	w.release("v2")
	w.until("Waiting")
	w.ask("approve")
	w.until("Succeeded")
	w.serves("v2")
}
