package controller

import (
	"math"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-mesh/heddle/canary/analysis"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// checked is a world whose releases are judged by the length of a queue, too.
func checked(t *testing.T) *world {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "prometheus"}, Data: map[string][]byte{"token": []byte("t0ken")}}
	template := &heddlev1alpha1.MetricTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "queue"}, Spec: heddlev1alpha1.MetricTemplateSpec{
		Provider: heddlev1alpha1.MetricProvider{Address: "https://prometheus", SecretRef: &heddlev1alpha1.LocalReference{Name: "prometheus"}},
		Query:    `depth{d="{{ target }}",q="{{ variables.queue }}"}[{{ interval }}]`,
	}}
	w := newWorld(t, append(cart(), secret, template)...)
	limit := resource.MustParse("10.5")
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Spec.Analysis.Checks = []heddlev1alpha1.CanaryCheck{{
			Name: "queue", TemplateRef: heddlev1alpha1.LocalReference{Name: "queue"}, Max: &limit, Variables: map[string]string{"queue": "orders"},
		}}
	})
	w.until("Idle")
	w.release("v2")
	return w
}

const depth = `depth{d="cart",q="orders"}[10000ms]`

func TestChecks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values map[string]float64
		change func(*world)
		ends   heddlev1alpha1.CanaryPhase
		says   string
		after  int32 // failed checks
	}{
		"promotes within the range":     {values: map[string]float64{depth: 10.5}, ends: "Succeeded"},
		"rolls back beyond it":          {values: map[string]float64{depth: 11}, ends: "Failed", says: "queue 11, wanted at most 10.5", after: 2},
		"takes infinity for a number":   {values: map[string]float64{depth: math.Inf(1)}, ends: "Failed", says: "queue +Inf", after: 2},
		"holds without a value":         {values: map[string]float64{depth: math.NaN()}, ends: "Failed", says: "no progress within 10m0s: queue has no value"},
		"holds without an answer":       {ends: "Failed", says: "check queue has no answer"},
		"fails by answers nevertheless": {values: map[string]float64{depth: 1}, change: func(w *world) { w.sample.Bad = 20 }, ends: "Failed", says: "success rate 80.0 %", after: 2},
		"needs no requests with onlyChecks": {values: map[string]float64{depth: 1}, change: func(w *world) {
			w.sample = analysis.Sample{}
			w.edit(func(c *heddlev1alpha1.Canary) { c.Spec.Analysis.OnlyChecks = true })
		}, ends: "Succeeded"},
		"names a template that isn't there": {values: map[string]float64{depth: 1}, change: func(w *world) {
			w.edit(func(c *heddlev1alpha1.Canary) { c.Spec.Analysis.Checks[0].TemplateRef.Name = "nope" })
		}, ends: "Failed", says: "get MetricTemplate shop/nope"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := checked(t)
			w.values = tc.values
			if tc.change != nil {
				tc.change(w)
			}
			w.until(tc.ends)
			if s := w.canary(); !strings.Contains(s.Message, tc.says) || s.Failures != tc.after {
				t.Errorf("status = %+v", s)
			}
			for _, of := range w.asked {
				if of.Token != "t0ken" || of.Address != "https://prometheus" {
					t.Fatalf("asked %+v", of)
				}
			}
		})
	}
}
