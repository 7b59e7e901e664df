package engine

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRandomHistories drives the engine with arbitrary facts and checks what
// must hold whatever happens.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plan := Plan{
			Steps: []StepPlan{{Iterations: 2}, {Match: "insiders"}, {Weight: 10, Match: "insiders"}, {Weight: 30, Pause: true}, {Weight: 60, Duration: 20 * time.Second}}, Interval: 10 * time.Second, Threshold: rapid.IntRange(1, 3).Draw(t, "threshold"),
			Deadline: time.Minute, Settle: 5 * time.Second, SkipAnalysis: rapid.Bool().Draw(t, "skip"),
		}
		for _, h := range []Hook{ConfirmRollout, PreRollout, Rollout, ConfirmTrafficIncrease, ConfirmPromotion, Rollback, PostRollout} {
			if rapid.IntRange(0, 3).Draw(t, string(h)) == 0 {
				plan.Hooks = append(plan.Hooks, h)
			}
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		revisions := rapid.SampledFrom([]string{"a", "b", "c"})
		var s State
		var request Request
		for i := range 60 {
			if rapid.IntRange(0, 3).Draw(t, "asks") == 0 {
				verb := rapid.SampledFrom([]Verb{"", Approve, Pause, Resume, Promote, Abort, Retry, "dance"}).Draw(t, "verb")
				request = Request{Verb: verb, Token: fmt.Sprint(verb, i), Revision: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "of")}
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			o := Observation{
				Target:  Workload{Exists: rapid.Float64Range(0, 1).Draw(t, "exists") < 0.95, Revision: revisions.Draw(t, "target"), Ready: rapid.Bool().Draw(t, "target ready")},
				Primary: Workload{Exists: true, Revision: revisions.Draw(t, "primary"), Ready: rapid.Bool().Draw(t, "primary ready")},
				Verdict: Verdict(rapid.IntRange(0, 4).Draw(t, "verdict")),
				Final:   rapid.Bool().Draw(t, "final"),
				Lost:    rapid.SampledFrom([]string{"", "", "", "", "lost"}).Draw(t, "lost"),
				Request: request,
				Routing: Routing(rapid.IntRange(0, 2).Draw(t, "routing")),
			}
			o.Answers = map[Hook]Answer{}
			for _, h := range Asks(plan, s, o, now) {
				o.Answers[h] = Answer{Yes: rapid.IntRange(0, 3).Draw(t, "answer") > 0}
			}
			next, actions := Step(plan, s, o, now)
			check(t, plan, s, next, o, actions)
			declared(t, s, next, o)
			if reflect.DeepEqual(next, s) {
				again, restated := Step(plan, next, o, now)
				if !reflect.DeepEqual(again, next) || !reflect.DeepEqual(restated, actions) {
					t.Fatalf("moved from %+v to %+v though nothing happened", next, again)
				}
			}
			if emptied := slices.Contains(actions, Action(ScaleCanary{})) && (s.Phase == Finalizing || s.Phase == RollingBack); emptied &&
				o.Routing == RoutingPending && now.Before(s.EnteredAt.Add(plan.Deadline)) {
				t.Fatal("ended pods that proxies may still send to")
			}
			s = next
		}
	})
}

// declared checks that the table tells the truth about where a release goes.
func declared(t *rapid.T, before, after State, o Observation) {
	if before.Phase == after.Phase {
		return
	}
	for _, row := range transitions {
		if slices.Contains(row.from, before.Phase) && slices.Contains(row.to, after.Phase) {
			return
		}
	}
	t.Fatalf("no row of the table leads from %q to %s with %+v", before.Phase, after.Phase, o)
}

func check(t *rapid.T, plan Plan, before, after State, o Observation, actions []Action) {
	if !o.Target.Exists && len(actions) > 0 {
		t.Fatal("acted without a target")
	}
	limit, match := 0, ""
	if after.Step > 0 {
		limit, match = plan.Steps[after.Step-1].Weight, plan.Steps[after.Step-1].Match
	}
	kept := after.Phase == Promoting && after.Match == before.Match // though later steps were left out
	if after.Weight > limit || after.Match != "" && after.Match != match && !kept {
		t.Fatalf("weight %d and match %q at step %d", after.Weight, after.Match, after.Step)
	}
	if abort := o.Request.Verb == Abort && o.Request.Token != before.Handled && o.Request.Revision == ""; abort && o.Target.Exists &&
		o.Target.Revision == before.Revision && slices.Contains(underWay, before.Phase) && ((after.Weight > 0 || after.Match != "") || after.Phase != RollingBack) {
		t.Fatalf("aborted in %+v and got to %+v", before, after)
	}
	if before.Phase == Waiting && after.Phase == Progressing && after.Step > before.Step && o.Request.Verb != Approve && !confirms(plan, o, before.Awaits) {
		t.Fatal("went on without approval")
	}
	if forward := after.Step > before.Step || after.Phase == Promoting && before.Phase != Promoting; forward && o.Target.Exists &&
		o.Request.Verb != Approve && o.Request.Verb != Promote {
		if guard := plan.guard(before); guard != "" && !o.Answers[guard].Yes {
			t.Fatalf("went on without %s", guard)
		}
		if before.Step == 0 && before.Phase == Progressing && slices.Contains(plan.Hooks, PreRollout) && !o.Answers[PreRollout].Yes {
			t.Fatal("gave traffic before pre-rollout")
		}
	}
	if judged := before.Phase == Progressing && before.Step > 0 && !plan.SkipAnalysis && (after.Step > before.Step || after.Phase == Promoting); judged &&
		o.Routing == RoutingPending && o.Request.Verb != Promote {
		t.Fatal("went on though proxies hadn't followed")
	}
	if after.Awaits != "" && (after.Phase != Waiting || after.Paused) {
		t.Fatalf("awaits %s in %+v", after.Awaits, after)
	}
	if o.Lost != "" && Watches(plan, before) && o.Target.Exists && (after.Weight > 0 || after.Match != "") && !slices.Contains([]Verb{Retry, Promote}, o.Request.Verb) {
		t.Fatal("went on with a check that was lost")
	}
	if o.Answers[Rollback].Yes && (after.Weight > 0 || after.Match != "") {
		t.Fatal("a hook asked for a rollback in vain")
	}
	if slices.Contains([]Phase{Failed, Aborted}, before.Phase) && after.Phase != before.Phase && after.Revision == before.Revision && o.Request.Verb != Retry {
		t.Fatal("went on after the end")
	}
	if !slices.Contains(underWay, after.Phase) && (after.Weight > 0 || after.Match != "") {
		t.Fatalf("weight %d in phase %s", after.Weight, after.Phase)
	}
	if after.Phase == Progressing && before.Phase == Progressing && after.Step > before.Step+1 {
		t.Fatal("skipped a step")
	}
	if after.Promoted != before.Promoted && before.Phase == Progressing {
		t.Fatal("promoted without copying")
	}
	for _, a := range actions {
		switch a := a.(type) {
		case SetWeights:
			if a.Primary+a.Canary != 100 || a.Canary != after.Weight || a.Match != after.Match {
				t.Fatalf("weights %+v in state %+v", a, after)
			}
		case ScaleCanary:
			if !a.Up && (after.Weight > 0 || after.Match != "") {
				t.Fatal("scaled a candidate down that has traffic")
			}
		case CopyTemplate:
			if after.Phase != Initializing && after.Phase != Promoting {
				t.Fatalf("copied in phase %s", after.Phase)
			}
		case RunHooks:
			if !slices.Contains(ended, after.Phase) || slices.Contains(ended, before.Phase) {
				t.Fatalf("told of an end in %s", after.Phase)
			}
		case RestoreTemplate, SelectPrimary, Emit:
		}
	}
}

func confirms(p Plan, o Observation, h Hook) bool {
	return h != "" && (o.Answers[h].Yes || !slices.Contains(p.Hooks, h))
}

// TestAReleaseAlwaysEnds: whatever the verdicts, a release of a revision that
// stays comes to an end, at weight 0.
func TestAReleaseAlwaysEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		plan := Plan{Steps: []StepPlan{{Weight: 20}, {Weight: 50}}, Interval: 10 * time.Second, Threshold: 2, Deadline: time.Minute, Settle: 5 * time.Second}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := State{Phase: Idle, Revision: "a", Promoted: "a"}
		failed := 0
		for range 60 {
			now = now.Add(10 * time.Second)
			v := Verdict(rapid.IntRange(0, 3).Draw(t, "verdict"))
			if Due(plan, s, now) && v == Fail {
				failed++
			}
			primary := Workload{Exists: true, Revision: s.Promoted, Ready: true}
			if s.Phase == Promoting {
				primary.Revision = "b"
			}
			s, _ = Step(plan, s, Observation{
				Target: Workload{Exists: true, Revision: "b", Ready: true}, Primary: primary, Verdict: v,
			}, now)
		}
		if s.Phase != Succeeded && s.Phase != Failed || s.Weight != 0 {
			t.Fatalf("ended as %+v", s)
		}
		if failed >= plan.Threshold && s.Phase != Failed {
			t.Fatalf("%d failed checks and phase %s", failed, s.Phase)
		}
	})
}

// TestPreRolloutIsAskedAgain: a no counts as a failed check, and keeps traffic
// away until a yes, however ready the candidate is.
func TestPreRolloutIsAskedAgain(t *testing.T) {
	t.Parallel()
	plan := Plan{Steps: []StepPlan{{Weight: 20}}, Interval: 10 * time.Second, Threshold: 3, Deadline: time.Minute, Hooks: []Hook{PreRollout}}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := State{Phase: Progressing, Revision: "b", Promoted: "a", EnteredAt: now}
	o := Observation{Target: Workload{Exists: true, Revision: "b", Ready: true}, Primary: Workload{Exists: true, Revision: "a", Ready: true}}
	for second := range 12 {
		at := now.Add(time.Duration(second) * time.Second)
		asks := Asks(plan, s, o, at)
		if (len(asks) == 1) != (second%10 == 0) {
			t.Fatalf("second %d: asks %v", second, asks)
		}
		o.Answers = nil
		if len(asks) == 1 {
			o.Answers = map[Hook]Answer{PreRollout: {Yes: second > 0, Words: "not yet"}}
		}
		s, _ = Step(plan, s, o, at)
		if want := second >= 10; (s.Weight > 0) != want {
			t.Fatalf("second %d: %+v", second, s)
		}
		if s.Weight > 0 {
			break
		}
	}
	if s.Failures != 1 {
		t.Errorf("failures = %d", s.Failures)
	}
}
