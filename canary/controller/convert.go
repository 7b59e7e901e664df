package controller

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/workload"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// or is v, or otherwise when v is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// planOf fills in the schema's defaults, for objects that never saw it.
func planOf(c *heddlev1alpha1.Canary, settle time.Duration) engine.Plan {
	a := c.Spec.Analysis
	p := engine.Plan{
		Interval:  or(a.Interval.Duration, time.Minute),
		Threshold: int(or(a.Threshold, 1)),
		Deadline:  time.Duration(or(c.Spec.ProgressDeadlineSeconds, 600)) * time.Second,
		Settle:    settle, SkipAnalysis: c.Spec.SkipAnalysis, Suspend: c.Spec.Suspend,
	}
	for _, h := range a.Hooks {
		if kind := engine.Hook(h.Type); h.Type != heddlev1alpha1.HookEvent && !slices.Contains(p.Hooks, kind) {
			p.Hooks = append(p.Hooks, kind)
		}
	}
	for _, s := range a.Steps {
		p.Steps = append(p.Steps, engine.StepPlan{Weight: int(s.Weight), Match: matchOf(s), Iterations: int(s.Iterations), Duration: s.Duration.Duration, Pause: s.Pause})
	}
	if len(p.Steps) > 0 {
		return p
	}
	weights := a.StepWeights
	if len(weights) == 0 {
		weights = []int32{10, 25, 50}
	}
	for _, w := range weights {
		p.Steps = append(p.Steps, engine.StepPlan{Weight: int(w)})
	}
	return p
}

// longest is how much of an annotation is read; status has no room for more.
const longest = 1024

// requestOf reads what is asked for in the annotation, if anything.
func requestOf(c *heddlev1alpha1.Canary) engine.Request {
	value := c.Annotations[heddlev1alpha1.AnnotationRequest]
	value = strings.ToValidUTF8(value[:min(len(value), longest)], "")
	words := strings.Fields(value)
	if len(words) == 0 {
		return engine.Request{}
	}
	verb, revision, _ := strings.Cut(words[0], "@")
	return engine.Request{Verb: engine.Verb(verb), Revision: revision, Token: value}
}

func matchOf(s heddlev1alpha1.CanaryStep) string {
	if s.MatchRef == nil {
		return ""
	}
	return s.MatchRef.Name
}

func limitsOf(c *heddlev1alpha1.Canary) analysis.Limits {
	a := c.Spec.Analysis
	l := analysis.Limits{SuccessRate: 99, Latency: or(a.Latency.Duration, 500*time.Millisecond), MinRequests: float64(or(a.MinRequests, 1))}
	if a.SuccessRate != nil {
		l.SuccessRate = float64(*a.SuccessRate)
	}
	return l
}

func rootOf(c *heddlev1alpha1.Canary) workload.Root {
	s := c.Spec.Service
	protocol := or(s.AppProtocol, "http")
	return workload.Root{Name: or(s.Name, c.Spec.TargetRef.Name), Port: corev1.ServicePort{
		Name: or(s.PortName, "http"), Port: s.Port, TargetPort: intstr.FromInt32(or(s.TargetPort, s.Port)),
		Protocol: corev1.ProtocolTCP, AppProtocol: &protocol,
	}}
}

func stateOf(c *heddlev1alpha1.Canary) engine.State {
	s := c.Status
	return engine.State{
		Phase: engine.Phase(s.Phase), Revision: s.Revision, Promoted: s.PromotedRevision,
		Step: int(s.Step), Weight: int(s.Weight), Failures: int(s.Failures),
		EnteredAt: s.EnteredAt.Time, CheckedAt: s.CheckedAt.Time, Message: s.Message, Evidence: evidenceOf(s.Evidence),
		Paused: s.Paused, Aborting: s.Aborting, Handled: s.HandledRequest, Awaits: engine.Hook(s.Awaits), Match: s.Match, Passes: int(s.Passes),
	}
}

// into is the inverse of stateOf.
func into(c *heddlev1alpha1.Canary, s engine.State) {
	c.Status.Phase, c.Status.Revision, c.Status.PromotedRevision = heddlev1alpha1.CanaryPhase(s.Phase), s.Revision, s.Promoted
	c.Status.Step, c.Status.Weight, c.Status.Failures = int32(s.Step), int32(s.Weight), int32(s.Failures) //nolint:gosec // small by the schema
	c.Status.EnteredAt, c.Status.CheckedAt = metav1.NewTime(s.EnteredAt), metav1.NewTime(s.CheckedAt)
	c.Status.Message, c.Status.ObservedGeneration = s.Message, c.Generation
	c.Status.Paused, c.Status.Aborting, c.Status.HandledRequest = s.Paused, s.Aborting, s.Handled
	c.Status.Match, c.Status.Passes = s.Match, int32(s.Passes) //nolint:gosec // small by the schema
	c.Status.Awaits = heddlev1alpha1.CanaryHookType(s.Awaits)
	c.Status.Evidence = nil
	if c.Spec.Analysis.Comparison != nil && !s.Evidence.CountedAt.IsZero() {
		c.Status.Evidence = toEvidence(s.Evidence)
	}
}

// condition sets one and says whether it is new in value, reason or message.
func condition(c *heddlev1alpha1.Canary, kind string, value metav1.ConditionStatus, reason, message string, now time.Time) bool {
	old := meta.FindStatusCondition(c.Status.Conditions, kind)
	changed := old == nil || old.Status != value || old.Reason != reason || old.Message != message
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message,
		ObservedGeneration: c.Generation, LastTransitionTime: metav1.NewTime(now),
	})
	return changed
}

func same(a, b heddlev1alpha1.CanaryStatus) bool { return equality.Semantic.DeepEqual(a, b) }
