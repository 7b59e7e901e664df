package engine

import (
	"slices"
	"time"
)

// Hook is a kind of question to somebody outside.
type Hook string

// The hooks that have a say. Those that confirm are asked until they say yes;
// nothing waits for PostRollout.
const (
	ConfirmRollout         Hook = "confirm-rollout"          // may the candidate's pods start
	PreRollout             Hook = "pre-rollout"              // before traffic; a no is a failed check
	Rollout                Hook = "rollout"                  // at each look at the metrics; a no is a failed check
	ConfirmTrafficIncrease Hook = "confirm-traffic-increase" // may the next step begin
	ConfirmPromotion       Hook = "confirm-promotion"        // may the candidate be promoted
	Rollback               Hook = "rollback"                 // a yes rolls back
	PostRollout            Hook = "post-rollout"             // told that a release has ended
)

// Answer is what all hooks of a kind came to together.
type Answer struct {
	Yes   bool
	Words string
}

// Asks lists the hooks to ask now; their answers belong in the observation,
// whose verdict must be in it already. None is asked about what fails anyway.
func Asks(p Plan, s State, o Observation, now time.Time) []Hook {
	if !o.Target.Exists || !polls(p, s, now) || newRevision(p, s, o, now) || failing(p, s, o, now) {
		return nil
	}
	ask := []Hook{Rollback}
	if Due(p, s, now) {
		ask = append(ask, Rollout)
	}
	switch {
	case s.Awaits != "" && !s.Paused:
		ask = append(ask, s.Awaits)
	case s.Phase == Progressing && s.Step == 0 && o.Target.Ready:
		ask = append(ask, PreRollout, p.guard(s))
	case s.Phase == Progressing && (p.SkipAnalysis || passed(p, s, o, now)):
		ask = append(ask, p.guard(s))
	}
	return slices.DeleteFunc(ask, func(h Hook) bool { return !slices.Contains(p.Hooks, h) })
}

// Watches is whether a check that can't pass any more, said before its time, would
// end the release. A threshold above 1 asks for patience: only the last of the
// failures that it takes comes early.
func Watches(p Plan, s State) bool {
	return slices.Contains(trying, s.Phase) && s.Step > 0 && (s.Weight > 0 || s.Match != "") &&
		!p.SkipAnalysis && !p.Suspend && s.Failures+1 >= p.Threshold
}

// polls is whether it is time to ask and to look.
func polls(p Plan, s State, now time.Time) bool {
	return slices.Contains(trying, s.Phase) && !p.Suspend && !now.Before(s.CheckedAt.Add(p.Interval))
}

// guard is the hook that has to confirm what comes after a step; "" is none.
func (p Plan) guard(s State) Hook {
	h := ConfirmTrafficIncrease
	if p.SkipAnalysis || s.Step >= len(p.Steps) {
		h = ConfirmPromotion
	}
	if !slices.Contains(p.Hooks, h) {
		return ""
	}
	return h
}

// refused returns the words of a hook whose no is a failed check.
func (o Observation) refused() (string, bool) {
	for _, h := range []Hook{PreRollout, Rollout} {
		if a, asked := o.Answers[h]; asked && !a.Yes {
			return a.Words, true
		}
	}
	return "", false
}

// onward goes to what comes after a step, or waits for whoever has to agree.
func onward(p Plan, s State, o Observation, now time.Time, passed string) (State, string) {
	switch h := p.guard(s); {
	case h != "" && !o.Answers[h].Yes:
		s = s.checked(o, now)
		s.Awaits = h
		return s.enter(Waiting, now, "%s and waits for %s", passed, h), "Waiting"
	case s.Step > 0 && p.Steps[s.Step-1].Pause && !p.SkipAnalysis:
		s = s.checked(o, now)
		s.Awaits = ""
		return s.enter(Waiting, now, "%s and waits for approval", passed), "Waiting"
	}
	return advance(p, s, o, now)
}

// confirmed goes on after what was awaited.
func confirmed(p Plan, s State, o Observation, now time.Time) (State, string) {
	if s.Awaits == ConfirmRollout {
		s.Awaits, s.CheckedAt = "", time.Time{} // hooks of what comes next are asked at once
		return s.enter(Progressing, now, "confirmed: waiting for the candidate's pods to be ready"), "Confirmed"
	}
	return advance(p, s, o, now)
}
