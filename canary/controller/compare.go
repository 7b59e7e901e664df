package controller

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/metrics"
	"github.com/heddle-mesh/heddle/canary/workload"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// compare looks at candidate and primary since the last look. A proof is final.
func (r *Reconciler) compare(ctx context.Context, canary *heddlev1alpha1.Canary, plan engine.Plan, state engine.State, now time.Time, o *engine.Observation) analysis.Result {
	target := canary.Spec.TargetRef.Name
	look, err := r.Source.Look(ctx, metrics.Pair{Namespace: canary.Namespace, Canary: target, Primary: workload.PrimaryName(target)}, state.Evidence, now)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "metrics could not be read")
		return analysis.Result{Verdict: engine.Error, Summary: unreadable}
	}
	next := 100
	if state.Step < len(plan.Steps) {
		next = max(1, plan.Steps[state.Step].Weight)
	}
	evidence, verdict, summary := analysis.Compare(comparisonOf(canary.Spec.Analysis.Comparison), state.Evidence, look, next)
	if verdict != engine.Error {
		evidence.CountedAt = now
	}
	o.Evidence, o.Final = &evidence, verdict == engine.Fail
	return analysis.Result{Verdict: verdict, Summary: summary}
}

func comparisonOf(c *heddlev1alpha1.CanaryComparison) analysis.Comparison {
	return analysis.Comparison{Alpha: share(c.Alpha, 0.05), Errors: share(c.ErrorIncrease, 0.01), Slow: share(c.SlowIncrease, 0.05)}
}

// share is a percentage as a part of 1. The schema lets nothing through that
// isn't one; what never saw the schema gets the default.
func share(p heddlev1alpha1.Percentage, otherwise float64) float64 {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64)
	if err != nil || !(v > 0 && v < 100) {
		return otherwise
	}
	return v / 100
}

func evidenceOf(e *heddlev1alpha1.CanaryEvidence) engine.Evidence {
	if e == nil {
		return engine.Evidence{}
	}
	return engine.Evidence{
		CountedAt: e.CountedAt.Time, Canary: engine.Counts(e.Canary), Primary: engine.Counts(e.Primary),
		Errors: engine.Proof{Worse: fromMillionths(e.Errors.Worse), Safe: fromMillionths(e.Errors.Safe)},
		Slow:   engine.Proof{Worse: fromMillionths(e.Slow.Worse), Safe: fromMillionths(e.Slow.Safe)},
	}
}

// toEvidence is the inverse of evidenceOf.
func toEvidence(e engine.Evidence) *heddlev1alpha1.CanaryEvidence {
	return &heddlev1alpha1.CanaryEvidence{
		CountedAt: metav1.NewTime(e.CountedAt), Canary: heddlev1alpha1.CanaryCounts(e.Canary), Primary: heddlev1alpha1.CanaryCounts(e.Primary),
		Errors: heddlev1alpha1.CanaryProof{Worse: toMillionths(e.Errors.Worse), Safe: toMillionths(e.Errors.Safe)},
		Slow:   heddlev1alpha1.CanaryProof{Worse: toMillionths(e.Slow.Worse), Safe: toMillionths(e.Slow.Safe)},
	}
}

func fromMillionths(stored []int64) []float64 {
	var out []float64
	for _, v := range stored {
		out = append(out, float64(v)/1e6)
	}
	return out
}

// toMillionths rounds down, which never makes a proof of what is none.
func toMillionths(logs []float64) []int64 {
	var out []int64
	for _, v := range logs {
		out = append(out, int64(math.Floor(math.Max(-1e9, math.Min(1e9, v))*1e6)))
	}
	return out
}
