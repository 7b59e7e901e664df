package controller

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/live"
	"github.com/heddle-mesh/heddle/canary/workload"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// follow has the candidate looked at between two checks where fixed limits are
// all it is judged by, so that a check that is lost needn't be waited for.
func (r *Reconciler) follow(canary *heddlev1alpha1.Canary, pair workload.Pair, plan engine.Plan, state engine.State) error {
	key := client.ObjectKeyFromObject(canary)
	if a := canary.Spec.Analysis; a.OnlyChecks || a.Comparison != nil || !engine.Watches(plan, state) {
		r.Live.Leave(key)
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(pair.Target.Spec.Selector)
	if err != nil {
		return fmt.Errorf("selector of Deployment %s: %w", pair.Target.Name, err)
	}
	r.Live.Follow(key, live.Subject{Selector: selector, Since: since(state), Limits: limitsOf(canary), Interval: plan.Interval})
	return nil
}

// since is when the check before the next one was, or its step began.
func since(s engine.State) time.Time {
	if s.EnteredAt.After(s.CheckedAt) {
		return s.EnteredAt
	}
	return s.CheckedAt
}
