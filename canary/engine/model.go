// Package engine decides what a release does next. It is pure and made of the
// standard library only: no client, no clock, no log.
//
//	Plan, State, Observation, now -> Step -> State to store, Actions that must hold
//
// State is all there is to remember; a restart goes on from it.
package engine

import "time"

// Phase says where a release stands.
type Phase string

// The phases of a release.
const (
	Initializing Phase = "Initializing" // the primary is made
	Idle         Phase = "Idle"         // nothing to release
	Progressing  Phase = "Progressing"  // the candidate is tried step by step
	Waiting      Phase = "Waiting"      // somebody has to say that it goes on; the metrics are still judged
	Promoting    Phase = "Promoting"    // the primary is made what the candidate is
	Finalizing   Phase = "Finalizing"   // all traffic is on the primary; stragglers finish
	Succeeded    Phase = "Succeeded"    // the candidate was promoted
	RollingBack  Phase = "RollingBack"  // all traffic is on the primary again; stragglers finish
	Failed       Phase = "Failed"       // the candidate was rolled back
	Aborted      Phase = "Aborted"      // the candidate was rolled back since somebody asked for it
)

// Verdict is what a look at the metrics came to. The zero value is NoData.
type Verdict int

// The verdicts. All but Pass and Fail hold a release where it is.
const (
	NoData Verdict = iota
	Pass
	Fail
	Error
	Inconclusive // there is data, but not enough to tell
)

// StepPlan is one planned weight.
type StepPlan struct {
	Weight     int           // percentage of the candidate, to 100
	Match      string        // names requests that all go to the candidate; empty is none
	Iterations int           // how many checks must pass, 1 when it is less
	Duration   time.Duration // shortest stay
	Pause      bool          // somebody has to approve of what comes after
}

// Request is what somebody asks for, once. The zero Request is none.
type Request struct {
	Verb     Verb
	Revision string // that it is about; empty is the one at hand
	Token    string // tells it from any other
}

// Verb is what is asked for.
type Verb string

// The verbs.
const (
	Approve Verb = "approve" // go on after a step that waits
	Pause   Verb = "pause"   // stay at this weight
	Resume  Verb = "resume"  // go on after a pause
	Promote Verb = "promote" // leave out the steps that remain
	Abort   Verb = "abort"   // roll back
	Retry   Verb = "retry"   // release again what was rolled back
)

// Plan is what the user asks for, complete and checked.
type Plan struct {
	Steps        []StepPlan    // of weight that doesn't fall, at least one
	Interval     time.Duration // between two checks
	Threshold    int           // failed checks that end a release, at least 1
	Deadline     time.Duration // longest stay in one step
	Settle       time.Duration // between a change of weights and a scale-down
	SkipAnalysis bool
	Suspend      bool
	Hooks        []Hook // that there are
}

// State is what is stored. The zero State is a canary never seen before.
type State struct {
	Phase     Phase
	Revision  string // last decided about
	Promoted  string // what the primary serves
	Step      int    // from 1; 0 is before the first
	Weight    int    // percentage of the candidate
	Match     string // names requests that all go to the candidate
	Passes    int    // checks that passed in this step
	Failures  int
	EnteredAt time.Time // of the phase or the step
	CheckedAt time.Time // of the last check
	Evidence  Evidence  // where candidates are compared with the primary
	Message   string
	Paused    bool   // Waiting, since somebody asked for it
	Aborting  bool   // RollingBack, since somebody asked for it
	Awaits    Hook   // Waiting, until it confirms
	Handled   string // the Token of the last Request that was answered
}

// Workload is what was seen of a Deployment.
type Workload struct {
	Exists   bool
	Revision string // hash of its template
	Ready    bool   // every instance is of this revision and serves
}

// Routing says whether proxies share the requests as they were last told to.
// The zero value is RoutingUnknown.
type Routing int

// The states of routing. Where nobody says whether proxies have followed, as
// on meshes that don't report it, time has to do.
const (
	RoutingUnknown Routing = iota
	RoutingPending
	RoutingConfirmed
)

// Observation is what was gathered this time. A target that doesn't exist
// leaves everything where it stands.
type Observation struct {
	Target, Primary Workload
	Verdict         Verdict         // only looked at when Due
	Summary         string          // the verdict in words
	Final           bool            // a Fail ends the release, whatever the threshold
	Lost            string          // why the next check can't pass any more; only looked at when Watches
	Answers         map[Hook]Answer // of those that Asks lists
	Request         Request
	Evidence        *Evidence // what the verdict was read from; nil keeps the State's
	Routing         Routing   // of the State's weight
}

// Action is something that must hold, never a difference: applying one twice
// is the same as once. The order of a list of them is the order to apply in.
type Action interface{ action() }

type (
	// CopyTemplate makes the primary what the target is, provided that the
	// target still has the revision.
	CopyTemplate struct{ Revision string }
	// RestoreTemplate gives the primary back what it was before the last copy.
	RestoreTemplate struct{ Revision string }
	// SetWeights shares out the requests; the two add up to 100. Those that
	// Match names all go to the candidate.
	SetWeights struct {
		Primary, Canary int
		Match           string
	}
	// SelectPrimary makes the root service select the primary.
	SelectPrimary struct{}
	// ScaleCanary gives the target as many instances as the primary has, or
	// none. One that has some already keeps its number.
	ScaleCanary struct{ Up bool }
	// RunHooks tells hooks of a kind, once; what they answer doesn't matter.
	RunHooks struct{ Hook Hook }
	// Emit announces a transition. It comes once, with the transition.
	Emit struct {
		Reason, Message string
		Warning         bool
	}
)

func (CopyTemplate) action()    {}
func (RestoreTemplate) action() {}
func (SetWeights) action()      {}
func (SelectPrimary) action()   {}
func (ScaleCanary) action()     {}
func (RunHooks) action()        {}
func (Emit) action()            {}
