package controller

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/metrics"
	"github.com/heddle-mesh/heddle/canary/workload"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// judge looks at the metrics that the canary asks for, all at once.
func (r *Reconciler) judge(ctx context.Context, canary *heddlev1alpha1.Canary, plan engine.Plan, state engine.State, now time.Time, o *engine.Observation) {
	a := canary.Spec.Analysis
	checked := make([]analysis.Result, len(a.Checks))
	var all sync.WaitGroup
	for i, check := range a.Checks {
		all.Go(func() { checked[i] = r.check(ctx, canary, check, plan.Interval, now) })
	}
	var answers []analysis.Result
	switch {
	case a.OnlyChecks:
	case a.Comparison != nil:
		answers = append(answers, r.compare(ctx, canary, plan, state, now, o))
	default:
		answers = append(answers, r.keeps(ctx, canary, plan, now))
	}
	all.Wait()
	result := analysis.Together(slices.Concat(checked, answers)...)
	o.Verdict, o.Summary = result.Verdict, result.Summary
}

// keeps compares the candidate to fixed limits.
func (r *Reconciler) keeps(ctx context.Context, canary *heddlev1alpha1.Canary, plan engine.Plan, now time.Time) analysis.Result {
	sample, err := r.Source.Measure(ctx, canary.Namespace, canary.Spec.TargetRef.Name, plan.Interval, now)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "metrics could not be read")
		return analysis.Result{Verdict: engine.Error, Summary: unreadable}
	}
	verdict, summary := analysis.Judge(limitsOf(canary), sample)
	return analysis.Result{Verdict: verdict, Summary: summary}
}

func (r *Reconciler) check(ctx context.Context, canary *heddlev1alpha1.Canary, check heddlev1alpha1.CanaryCheck, interval time.Duration, now time.Time) analysis.Result {
	value, err := r.value(ctx, canary, check, interval, now)
	if err != nil {
		return analysis.Result{Verdict: engine.Error, Summary: fmt.Sprintf("check %s has no answer: %v", check.Name, err)}
	}
	return analysis.JudgeValue(analysis.Range{Name: check.Name, Min: number(check.Min), Max: number(check.Max)}, value)
}

func (r *Reconciler) value(ctx context.Context, canary *heddlev1alpha1.Canary, check heddlev1alpha1.CanaryCheck, interval time.Duration, now time.Time) (float64, error) {
	template := &heddlev1alpha1.MetricTemplate{}
	key := client.ObjectKey{Namespace: canary.Namespace, Name: check.TemplateRef.Name}
	if err := r.Client.Get(ctx, key, template); err != nil {
		return 0, fmt.Errorf("get MetricTemplate %s: %w", key, err)
	}
	target := canary.Spec.TargetRef.Name
	query, err := metrics.Render(template.Spec.Query, metrics.Values{
		Namespace: canary.Namespace, Name: canary.Name, Target: target, Primary: workload.PrimaryName(target), Service: rootOf(canary).Name,
		Interval: or(check.Interval.Duration, interval), Variables: check.Variables,
	})
	if err != nil {
		return 0, fmt.Errorf("MetricTemplate %s: %w", key, err)
	}
	provider, err := r.provider(ctx, template)
	if err != nil {
		return 0, err
	}
	return r.Source.Value(ctx, provider, query, now) //nolint:wrapcheck // the caller names the check
}

func (r *Reconciler) provider(ctx context.Context, template *heddlev1alpha1.MetricTemplate) (metrics.Provider, error) {
	p := template.Spec.Provider
	out := metrics.Provider{Address: p.Address, Header: http.Header{}, InsecureSkipVerify: p.InsecureSkipVerify}
	for _, h := range p.Headers {
		out.Header.Set(h.Name, h.Value)
	}
	if p.SecretRef == nil {
		return out, nil
	}
	secret, err := r.secret(ctx, template.Namespace, p.SecretRef.Name)
	if err != nil {
		return out, err
	}
	out.Username, out.Password = string(secret["username"]), string(secret["password"])
	out.Token, out.CA = string(secret["token"]), secret["ca.crt"]
	return out, nil
}

// secret reads one that its namespace lets the operator read.
func (r *Reconciler) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	err := r.Secrets.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	switch {
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the operator may not read Secret %s/%s: bind a Role with get on it to service account %s/%s",
			namespace, name, heddlev1alpha1.SystemNamespace, heddlev1alpha1.OperatorName)
	case err != nil:
		return nil, fmt.Errorf("get Secret %s/%s: %w", namespace, name, err)
	}
	return secret.Data, nil
}

func number(q *resource.Quantity) *float64 {
	if q == nil {
		return nil
	}
	v := q.AsApproximateFloat64()
	return &v
}
