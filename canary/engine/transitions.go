package engine

import "time"

type transition struct {
	from    map[Phase]bool
	when    func(Plan, State, Observation, time.Time) bool
	take    func(Plan, State, Observation, time.Time) (State, string)
	warning bool
}

func from(phases ...Phase) map[Phase]bool {
	set := map[Phase]bool{}
	for _, p := range phases {
		set[p] = true
	}
	return set
}

// transitions are tried in order: initialisation, new revision, deadline,
// failures, then what each phase waits for.
var transitions = []transition{
	{from: from(""), when: always, take: begin},
	{from: from(Initializing), when: primaryServes, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		return s.enter(Finalizing, now, "the primary is ready and takes over"), "PrimaryReady"
	}},
	{from: from(Initializing), when: newRevision, take: func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		s.Revision, s.Promoted = o.Target.Revision, o.Target.Revision
		return s.enter(Initializing, now, "waiting for the primary to be ready"), ""
	}},
	{from: from(Progressing, Promoting), when: reverted, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Revision, s.Weight = s.Promoted, 0
		return s.enter(RollingBack, now, "the target went back to what the primary serves"), "Reverted"
	}},
	{from: from(Progressing, Promoting), when: newRevision, take: release("NewRevision", "another revision came: starting again")},
	{from: from(Idle, Succeeded, Failed), when: reverted, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Revision, s.Step, s.Failures = s.Promoted, 0, 0
		return s.enter(Idle, now, "the target is what the primary serves"), "Reverted"
	}},
	{from: from(Idle, Succeeded, Failed), when: newRevision, take: release("NewRevision", "a new revision: waiting for its pods to be ready")},
	{from: from(Progressing, Promoting), warning: true, when: func(p Plan, s State, _ Observation, now time.Time) bool {
		return !now.Before(s.EnteredAt.Add(p.Deadline))
	}, take: func(p Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Weight = 0
		return s.enter(RollingBack, now, "no progress within %s: %s", p.Deadline, s.Message), "DeadlineExceeded"
	}},
	{from: from(Progressing), warning: true, when: failing, take: fail},
	{from: from(Progressing), when: candidateReady, take: advance},
	{from: from(Progressing), when: passed, take: advance},
	{from: from(Progressing), when: inconclusive, take: hold},
	{from: from(Promoting), when: func(_ Plan, s State, o Observation, _ time.Time) bool {
		return o.Primary.Ready && o.Primary.Revision == s.Revision
	}, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		s.Promoted, s.Weight = s.Revision, 0
		return s.enter(Finalizing, now, "the primary serves the new revision and takes all traffic"), "Promoted"
	}},
	{from: from(Finalizing), when: settled, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		if s.Step == 0 {
			return s.enter(Idle, now, "waiting for a new revision"), "Initialized"
		}
		return s.enter(Succeeded, now, "revision %s was promoted", s.Revision), "Succeeded"
	}},
	{from: from(RollingBack), when: settled, take: func(_ Plan, s State, _ Observation, now time.Time) (State, string) {
		if s.Revision == s.Promoted {
			return s.enter(Idle, now, "%s", s.Message), ""
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
	return o.Target.Ready && (s.Weight == 0 || p.SkipAnalysis)
}

func failing(p Plan, s State, o Observation, now time.Time) bool {
	return s.Failures >= p.Threshold || Due(p, s, now) && (o.Verdict == Fail || !o.Target.Ready)
}

func passed(p Plan, s State, o Observation, now time.Time) bool {
	return Due(p, s, now) && o.Target.Ready && o.Verdict == Pass
}

func inconclusive(p Plan, s State, _ Observation, now time.Time) bool { return Due(p, s, now) }

func begin(_ Plan, s State, o Observation, now time.Time) (State, string) {
	s.Revision = o.Target.Revision
	if o.Primary.Exists && o.Primary.Revision != "" { // left by an earlier canary
		s.Revision = o.Primary.Revision
	}
	s.Promoted = s.Revision
	return s.enter(Initializing, now, "waiting for the primary to be ready"), ""
}

func release(reason, message string) func(Plan, State, Observation, time.Time) (State, string) {
	return func(_ Plan, s State, o Observation, now time.Time) (State, string) {
		s.Revision, s.Step, s.Weight, s.Failures, s.Evidence = o.Target.Revision, 0, 0, 0, Evidence{}
		return s.enter(Progressing, now, "%s", message), reason
	}
}

func fail(p Plan, s State, o Observation, now time.Time) (State, string) {
	summary := o.Summary
	if !o.Target.Ready {
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
		s.Weight = 0
		return s.enter(RollingBack, now, "%s", summary), "RollingBack"
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

func hold(_ Plan, s State, o Observation, now time.Time) (State, string) {
	s = s.checked(o, now)
	reason := ""
	if s.Message != o.Summary && o.Verdict != Inconclusive {
		reason = "NoMetricData"
	}
	s.Message = o.Summary
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
		s.Step = max(s.Step, len(p.Steps))
		return s.enter(Promoting, now, "copying the candidate onto the primary"), "Promoting"
	}
	s.Step++
	s.Weight, s.CheckedAt = p.Steps[s.Step-1], now
	return s.enter(Progressing, now, "step %d of %d", s.Step, len(p.Steps)), "Advanced"
}
