package engine

import (
	"fmt"
	"slices"
	"time"
)

// Due is whether the metrics are to be judged now.
func Due(p Plan, s State, now time.Time) bool {
	return polls(p, s, now) && s.Step > 0 && !p.SkipAnalysis
}

// WakeAt is when Step wants to be called again if nothing else happens; the
// zero time means not at all.
func WakeAt(p Plan, s State, now time.Time) time.Time {
	switch s.Phase {
	case Progressing:
		deadline := s.EnteredAt.Add(p.stay(s))
		if check := s.CheckedAt.Add(p.Interval); (s.Step > 0 || check.After(now)) && check.Before(deadline) {
			return check
		}
		return deadline
	case Waiting:
		if check := s.CheckedAt.Add(p.Interval); s.Step > 0 && !p.SkipAnalysis || check.After(now) {
			return check
		}
	case Promoting:
		return s.EnteredAt.Add(p.Deadline)
	case Finalizing, RollingBack:
		if settle := s.EnteredAt.Add(p.Settle); now.Before(settle) {
			return settle
		}
		return s.EnteredAt.Add(p.Deadline)
	case Initializing, Idle, Succeeded, Failed, Aborted:
	}
	return time.Time{}
}

// Step decides what comes next. It is total and deterministic. At most one
// transition is taken; what must hold in the state it leads to is restated
// each time.
func Step(p Plan, s State, o Observation, now time.Time) (State, []Action) {
	if !o.Target.Exists {
		return s, nil
	}
	if p.Suspend && s.Phase != "" {
		return s, desired(s, o)
	}
	for _, t := range transitions { // the order is the policy
		if slices.Contains(t.from, s.Phase) && t.when(p, s, o, now) {
			next, reason := t.take(p, s, o, now)
			actions := desired(next, o)
			if reason != "" {
				message := next.Message
				if t.says != nil {
					message = t.says(s, o)
				}
				actions = append(actions, Emit{Reason: reason, Message: message, Warning: t.warning})
			}
			if slices.Contains(ended, next.Phase) && next.Phase != s.Phase && slices.Contains(p.Hooks, PostRollout) {
				actions = append(actions, RunHooks{PostRollout})
			}
			return next, actions
		}
	}
	return s, desired(s, o)
}

// desired is what must hold in a state.
func desired(s State, o Observation) []Action {
	if s.Phase == Initializing {
		if s.Promoted == o.Target.Revision && o.Primary.Revision != s.Promoted {
			return []Action{CopyTemplate{Revision: s.Promoted}}
		}
		return nil
	}
	var actions []Action
	if s.Phase != Promoting && o.Primary.Exists && o.Primary.Revision != s.Promoted {
		actions = append(actions, RestoreTemplate{Revision: s.Promoted})
	}
	actions = append(actions, s.Shares(), SelectPrimary{})
	switch s.Phase {
	case Promoting:
		if o.Primary.Revision != s.Revision {
			actions = append(actions, CopyTemplate{Revision: s.Revision})
		}
		actions = append(actions, ScaleCanary{Up: true})
	case Progressing, Waiting:
		if s.Awaits != ConfirmRollout {
			actions = append(actions, ScaleCanary{Up: true})
		}
	case Finalizing, RollingBack: // what runs goes on
	case Idle, Succeeded, Failed, Aborted, Initializing:
		actions = append(actions, ScaleCanary{})
	}
	return actions
}

// Shares is how requests are shared out in a state.
func (s State) Shares() SetWeights {
	return SetWeights{Primary: 100 - s.Weight, Canary: s.Weight, Match: s.Match}
}

// enter is the state at the start of a phase.
func (s State) enter(phase Phase, now time.Time, format string, args ...any) State {
	s.Phase, s.EnteredAt, s.Message = phase, now, fmt.Sprintf(format, args...)
	return s
}

// rollBack takes all traffic away from the candidate.
func (s State) rollBack(now time.Time, format string, args ...any) State {
	s.Weight, s.Match, s.Paused, s.Awaits = 0, "", false, ""
	return s.enter(RollingBack, now, format, args...)
}

// promote leaves no step to go.
func (s State) promote(p Plan, now time.Time, message string) State {
	s.Step, s.Awaits = max(s.Step, len(p.Steps)), ""
	return s.enter(Promoting, now, "%s", message)
}

// answered is the state after a request, which is never answered again.
func (s State) answered(o Observation) State {
	s.Handled = o.Request.Token
	return s
}
