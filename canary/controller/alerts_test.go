package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func TestAlerts(t *testing.T) {
	t.Parallel()
	here := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	w := newWorld(t, append(cart(),
		&corev1.Secret{ObjectMeta: here("slack"), Data: map[string][]byte{"address": []byte("https://slack")}},
		&corev1.Secret{ObjectMeta: here("empty")},
		&heddlev1alpha1.AlertProvider{ObjectMeta: here("all"), Spec: heddlev1alpha1.AlertProviderSpec{Type: "generic", Address: "https://all"}},
		&heddlev1alpha1.AlertProvider{ObjectMeta: here("ops"), Spec: heddlev1alpha1.AlertProviderSpec{Type: "slack", SecretRef: &heddlev1alpha1.LocalReference{Name: "slack"}}},
		&heddlev1alpha1.AlertProvider{ObjectMeta: here("broken"), Spec: heddlev1alpha1.AlertProviderSpec{Type: "slack", SecretRef: &heddlev1alpha1.LocalReference{Name: "empty"}}},
	)...)
	to := func(name string) heddlev1alpha1.LocalReference { return heddlev1alpha1.LocalReference{Name: name} }
	w.edit(func(c *heddlev1alpha1.Canary) {
		c.Spec.Analysis.Alerts = []heddlev1alpha1.CanaryAlert{
			{Name: "broken", Severity: "info", ProviderRef: to("broken")},
			{Name: "missing", ProviderRef: to("nope")},
			{Name: "all", Severity: "warn", ProviderRef: to("all")},
			{Name: "ops", Severity: "error", ProviderRef: to("ops")},
		}
	})
	w.until("Idle")
	w.release("v2")
	w.until("Succeeded")
	w.sample.Bad = 20
	w.release("v3")
	w.until("Failed")
	want := []string{
		"generic https://all warn CheckFailed",
		"generic https://all error RollingBack", "slack https://slack error RollingBack",
		"generic https://all error RolledBack", "slack https://slack error RolledBack",
	}
	if diff := cmp.Diff(want, w.alerts); diff != "" {
		t.Error(diff)
	}
}
