package engine

import (
	"fmt"
	"slices"
	"time"
)

// transition is a row of the table. The diagram in docs/reference is drawn from
// it.
type transition struct {
	name    string // what makes it happen, in words
	from    []Phase
	to      []Phase // one of them, or it stays
	when    func(Plan, State, Observation, time.Time) bool
	take    func(Plan, State, Observation, time.Time) (State, string)
	says    func(State, Observation) string // instead of the new state's message
	warning bool
}

var (
	settledPhases = []Phase{Idle, Succeeded, Failed, Aborted}
	trying        = []Phase{Progressing, Waiting}
	underWay      = []Phase{Progressing, Waiting, Promoting}
	ended         = []Phase{Succeeded, Failed, Aborted}
	everyPhase    = []Phase{Initializing, Idle, Progressing, Waiting, Promoting, Finalizing, Succeeded, RollingBack, Failed, Aborted}
)

// transitions are tried in order: initialisation, what happened to the target,
// an abort, deadline, failures, what else is asked for, and then what each
// phase waits for.
var transitions = []transition{
	{name: "a canary never seen before", from: []Phase{""}, to: []Phase{Initializing}, when: always, take: begin},
	{name: "the primary is ready", from: []Phase{Initializing}, to: []Phase{Finalizing}, when: primaryServes, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		return s.enter(Finalizing, now, "the primary is ready and takes over"), "PrimaryReady"
	}},
	{name: "another revision", from: []Phase{Initializing}, when: newRevision, take: func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		s.Revision, s.Promoted = o.Target.Revision, o.Target.Revision
		return s.enter(Initializing, now, "waiting for the primary to be ready"), ""
	}},
	{name: "the target went back", from: underWay, to: []Phase{RollingBack}, when: reverted, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Revision = s.Promoted
		return s.rollBack(now, "the target went back to what the primary serves"), "Reverted"
	}},
	{name: "another revision", from: underWay, to: []Phase{Progressing, Waiting}, when: newRevision, take: release("NewRevision", "another revision came: starting again")},
	{name: "the target went back", from: settledPhases, to: []Phase{Idle}, when: reverted, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Revision, s.Step, s.Failures = s.Promoted, 0, 0
		return s.enter(Idle, now, "the target is what the primary serves"), "Reverted"
	}},
	{name: "a new revision", from: settledPhases, to: []Phase{Progressing, Waiting}, when: newRevision, take: release("NewRevision", "a new revision: waiting for its pods to be ready")},
	{name: "abort", from: underWay, to: []Phase{RollingBack}, warning: true, when: asked(Abort), take: func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		s.Aborting = true
		return s.answered(o).rollBack(now, "aborted on request at %d %%", s.Weight), "Aborting"
	}},
	{name: "no progress by the deadline", from: []Phase{Progressing, Promoting}, to: []Phase{RollingBack}, warning: true, when: overdue, take: func(p Plan, s State, _ Observation, now time.Time) (State, string) {
		return s.rollBack(now, "no progress within %s: %s", p.stay(s), s.Message), "DeadlineExceeded"
	}},
	{name: "a hook asks for it", from: trying, to: []Phase{RollingBack}, warning: true, when: func(_ Plan, _ State, o Observation, _ time.Time) bool {
		return o.Answers[Rollback].Yes
	}, take: func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		return s.checked(o, now).rollBack(now, "%s", o.Answers[Rollback].Words), "RollingBack"
	}},
	{name: "a failed check", from: trying, to: []Phase{RollingBack}, warning: true, when: failing, take: fail},
	{name: "promote", from: trying, to: []Phase{Promoting}, when: func(p Plan, s State, o Observation, now time.Time) bool {
		return asked(Promote)(p, s, o, now) && o.Target.Ready
	}, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		s.Paused = false
		return s.answered(o).promote(p, now, "on request: copying the candidate onto the primary"), "Promoting"
	}},
	{name: "pause", from: []Phase{Progressing}, to: []Phase{Waiting}, when: asked(Pause), take: func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		s.Paused = true
		return s.answered(o).enter(Waiting, now, "paused at %d %% until somebody resumes", s.Weight), "Paused"
	}},
	{name: "resume", from: []Phase{Waiting}, to: []Phase{Progressing}, when: func(p Plan, s State, o Observation, now time.Time) bool {
		return s.Paused && asked(Resume)(p, s, o, now)
	}, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		s.Paused = false
		return s.answered(o).enter(Progressing, now, "resumed at step %d of %d", s.Step, len(p.Steps)), "Resumed"
	}},
	{name: "approve", from: []Phase{Waiting}, to: []Phase{Progressing, Promoting}, when: func(p Plan, s State, o Observation, now time.Time) bool {
		return !s.Paused && asked(Approve)(p, s, o, now) && startable(s, o)
	}, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		o.Evidence = nil
		return confirmed(p, s.answered(o), o, now)
	}},
	{name: "retry", from: []Phase{Failed, Aborted}, to: []Phase{Progressing, Waiting}, when: asked(Retry), take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		return release("Retrying", "on request: waiting for the candidate's pods to be ready")(p, s.answered(o), o, now)
	}},
	{name: "a request that can't be met", from: everyPhase, warning: true, when: func(_ Plan, s State, o Observation, _ time.Time) bool {
		return o.Request.Token != s.Handled
	}, take: func(_ Plan, s State, o Observation, _ time.Time) (State, string) {
		if o.Request.Verb != "" {
			return s.answered(o), "RequestIgnored"
		}
		return s.answered(o), ""
	}, says: refusal},
	{name: "the candidate is ready", from: []Phase{Progressing}, to: []Phase{Waiting, Promoting}, when: candidateReady, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		return onward(p, s, o, now, "the candidate is ready")
	}},
	{name: "a passed check", from: []Phase{Progressing}, to: []Phase{Waiting, Promoting}, when: passed, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		return onward(p, s, o, now, fmt.Sprintf("step %d of %d passed (%s)", s.Step, len(p.Steps), o.Summary))
	}},
	{name: "a hook confirms", from: []Phase{Waiting}, to: []Phase{Progressing, Promoting}, when: func(p Plan, s State, o Observation, _ time.Time) bool {
		return s.Awaits != "" && !s.Paused && (o.Answers[s.Awaits].Yes || !slices.Contains(p.Hooks, s.Awaits)) && startable(s, o)
	}, take: func(p Plan, s State, o Observation, now time.Time) (State, string) {
		if s.Awaits == ConfirmRollout {
			return confirmed(p, s, o, now)
		}
		return onward(p, s, o, now, fmt.Sprintf("step %d of %d was confirmed", s.Step, len(p.Steps)))
	}},
	{name: "a check that tells nothing", from: trying, when: looked, take: hold},
	{name: "the primary serves the candidate's revision", from: []Phase{Promoting}, to: []Phase{Finalizing}, when: func(_ Plan, s State, o Observation, _ time.Time) bool {
		return o.Primary.Ready && o.Primary.Revision == s.Revision
	}, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Promoted, s.Weight, s.Match = s.Revision, 0, ""
		return s.enter(Finalizing, now, "the primary serves the new revision and takes all traffic"), "Promoted"
	}},
	{name: "nobody is sent to the candidate any more", from: []Phase{Finalizing}, to: []Phase{Idle, Succeeded}, when: settled, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		if s.Step == 0 {
			return s.enter(Idle, now, "waiting for a new revision"), "Initialized"
		}
		return s.enter(Succeeded, now, "revision %s was promoted", s.Revision), "Succeeded"
	}},
	{name: "nobody is sent to the candidate any more", from: []Phase{RollingBack}, to: []Phase{Idle, Failed, Aborted}, when: settled, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		switch {
		case s.Revision == s.Promoted:
			return s.enter(Idle, now, "%s", s.Message), ""
		case s.Aborting:
			return s.enter(Aborted, now, "%s; retry it, or change the target", s.Message), "Aborted"
		}
		return s.enter(Failed, now, "rolled back: %s", s.Message), "RolledBack"
	}},
}

func always(Plan, State, Observation, time.Time) bool { return true }

func primaryServes(_ Plan, s State, o Observation, _ time.Time) bool {
	return o.Primary.Ready && o.Primary.Revision == s.Promoted
}

func newRevision(_ Plan, s State, o Observation, _ time.Time) bool {
	return o.Target.Revision != s.Revision
}

func reverted(p Plan, s State, o Observation, now time.Time) bool {
	return newRevision(p, s, o, now) && o.Target.Revision == s.Promoted
}

// settled is whether nothing is sent any more to where no traffic shall go. A
// proxy that never follows holds it up for the deadline at most.
func settled(p Plan, s State, o Observation, now time.Time) bool {
	return !now.Before(s.EnteredAt.Add(p.Settle)) &&
		(o.Routing != RoutingPending || !now.Before(s.EnteredAt.Add(p.Deadline)))
}

func candidateReady(p Plan, s State, o Observation, _ time.Time) bool {
	prepared := !slices.Contains(p.Hooks, PreRollout) || o.Answers[PreRollout].Yes
	return o.Target.Ready && (s.Step == 0 && prepared || s.Step > 0 && p.SkipAnalysis)
}

// startable is whether a candidate that has no traffic could get some.
func startable(s State, o Observation) bool {
	return s.Step > 0 || s.Awaits == ConfirmRollout || o.Target.Ready
}

func failing(p Plan, s State, o Observation, now time.Time) bool {
	_, refused := o.refused()
	return s.Failures >= p.Threshold || refused || lost(p, s, o) || Due(p, s, now) && (o.Verdict == Fail || !o.Target.Ready)
}

func lost(p Plan, s State, o Observation) bool { return o.Lost != "" && Watches(p, s) }

func passed(p Plan, s State, o Observation, now time.Time) bool {
	return Due(p, s, now) && o.Target.Ready && o.Verdict == Pass && o.Routing != RoutingPending &&
		s.Passes+1 >= p.Steps[s.Step-1].Iterations && !now.Before(s.EnteredAt.Add(p.Steps[s.Step-1].Duration))
}

func looked(p Plan, s State, o Observation, now time.Time) bool {
	return Due(p, s, now) || polls(p, s, now) && len(o.Answers) > 0
}

func asked(verb Verb) func(Plan, State, Observation, time.Time) bool {
	return func(_ Plan, s State, o Observation, _ time.Time) bool {
		r := o.Request
		return r.Verb == verb && r.Token != s.Handled && (r.Revision == "" || r.Revision == s.Revision)
	}
}

func overdue(p Plan, s State, _ Observation, now time.Time) bool {
	return !now.Before(s.EnteredAt.Add(p.stay(s)))
}

// stay is how long a release may be where it is: the deadline, after what the
// step itself asks for.
func (p Plan) stay(s State) time.Duration {
	if s.Phase == Progressing && s.Step > 0 && s.Step <= len(p.Steps) {
		return p.Steps[s.Step-1].Duration + p.Deadline
	}
	return p.Deadline
}

func refusal(s State, o Observation) string {
	const cannot = "%s was asked for, which can't be done: "
	switch v := o.Request.Verb; {
	case o.Request.Revision != "" && o.Request.Revision != s.Revision:
		return fmt.Sprintf(cannot+"it was meant for revision %s, and this is %s", v, o.Request.Revision, s.Revision)
	case v == Promote && slices.Contains(trying, s.Phase), v == Approve && s.Phase == Waiting && !s.Paused:
		return fmt.Sprintf(cannot+"pods of the candidate are not ready; ask again when they are", v)
	case v == Approve && s.Paused:
		return fmt.Sprintf(cannot+"the release is paused; resume it", v)
	case v == Resume && s.Phase == Waiting:
		return fmt.Sprintf(cannot+"the release waits for approval; approve it", v)
	case v == Retry:
		return fmt.Sprintf(cannot+"only what was rolled back is tried again, and the canary is %s", v, s.Phase)
	case slices.Contains([]Verb{Approve, Pause, Resume, Promote, Abort}, v):
		return fmt.Sprintf(cannot+"the canary is %s", v, s.Phase)
	}
	return fmt.Sprintf("%q is not something to ask for: it is approve, pause, resume, promote, abort or retry", o.Request.Verb)
}

func begin(_ Plan, s State, o Observation, now time.Time) (State, string) {
	s.Revision = o.Target.Revision
	if o.Primary.Exists && o.Primary.Revision != "" { // left by an earlier canary
		s.Revision = o.Primary.Revision
	}
	s.Promoted = s.Revision
	return s.enter(Initializing, now, "waiting for the primary to be ready"), ""
}

func release(reason, message string) func(Plan, State, Observation, time.Time) (State, string) {
	return func(p Plan, s State, o Observation, now time.Time) (State, string) {
		s.Revision, s.Step, s.Weight, s.Match, s.Passes, s.Failures, s.Evidence = o.Target.Revision, 0, 0, "", 0, 0, Evidence{}
		s.Paused, s.Aborting, s.Awaits, s.CheckedAt = false, false, "", time.Time{}
		if slices.Contains(p.Hooks, ConfirmRollout) {
			s.Awaits = ConfirmRollout
			return s.enter(Waiting, now, "%s comes first, before pods of the candidate start", ConfirmRollout), reason
		}
		return s.enter(Progressing, now, "%s", message), reason
	}
}

func fail(p Plan, s State, o Observation, now time.Time) (State, string) {
	summary := o.Summary
	if words, refused := o.refused(); refused {
		summary = words
	} else if lost(p, s, o) {
		summary = o.Lost
	} else if !o.Target.Ready {
		summary = "pods of the candidate are not ready"
	}
	if s.Failures < p.Threshold {
		s.Failures++
	}
	if o.Final && o.Verdict == Fail {
		s.Failures = max(s.Failures, p.Threshold)
	}
	s = s.checked(o, now)
	if s.Failures >= p.Threshold {
		return s.rollBack(now, "%s", summary), "RollingBack"
	}
	s.Message = summary
	return s, "CheckFailed"
}

// checked is the state after a look at the metrics.
func (s State) checked(o Observation, now time.Time) State {
	s.CheckedAt = now
	if o.Evidence != nil {
		s.Evidence = *o.Evidence
	}
	return s
}

func hold(p Plan, s State, o Observation, now time.Time) (State, string) {
	s = s.checked(o, now)
	if s.Phase == Waiting || s.Step == 0 || p.SkipAnalysis {
		return s, "" // what it waits for is said already
	}
	reason := ""
	if s.Message != o.Summary && (o.Verdict == NoData || o.Verdict == Error) {
		reason = "NoMetricData"
	}
	s.Message = o.Summary
	switch n := p.Steps[s.Step-1].Iterations; {
	case o.Verdict != Pass:
	case o.Routing == RoutingPending: // what passed are the shares of before
		s.Message = "waiting for proxies to share out requests as they are told"
	default:
		s.Passes++
		if n > 1 {
			s.Message = fmt.Sprintf("%s, %d of %d checks passed", o.Summary, min(s.Passes, n), n)
		}
	}
	return s, reason
}

// advance goes to the next step, or promotes after the last.
func advance(p Plan, s State, o Observation, now time.Time) (State, string) {
	if s.Step == 0 {
		s.Evidence = Evidence{CountedAt: now}
	} else {
		s = s.checked(o, now)
		s.Evidence = s.Evidence.forStep()
	}
	if p.SkipAnalysis || s.Step >= len(p.Steps) {
		return s.promote(p, now, "copying the candidate onto the primary"), "Promoting"
	}
	s.Step++
	s.Passes = 0
	s.Awaits = ""
	s.Weight, s.Match, s.CheckedAt = p.Steps[s.Step-1].Weight, p.Steps[s.Step-1].Match, now
	return s.enter(Progressing, now, "step %d of %d", s.Step, len(p.Steps)), "Advanced"
}
