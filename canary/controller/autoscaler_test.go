package controller

import (
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func autoscaler(name, target string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}, MaxReplicas: 9,
	}}
}

// scaled has the canary name an autoscaler.
func (w *world) scaled(name string) {
	w.Helper()
	c := &heddlev1alpha1.Canary{}
	w.get("cart", c)
	c.Spec.AutoscalerRef = &heddlev1alpha1.CanaryAutoscalerRef{Name: name}
	if err := w.client.Update(w.Context(), c); err != nil {
		w.Fatal(err)
	}
}

func TestThePrimaryIsScaledAsTheTargetIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(cart(), autoscaler("cart", "cart"))...)
	w.scaled("cart")
	w.until("Idle")
	w.tick()
	copied, original := &autoscalingv2.HorizontalPodAutoscaler{}, &autoscalingv2.HorizontalPodAutoscaler{}
	w.get("cart-primary", copied)
	if copied.Spec.ScaleTargetRef.Name != "cart-primary" || copied.Spec.MaxReplicas != 9 {
		t.Errorf("copy = %+v", copied.Spec)
	}
	w.get("cart", original)
	original.Spec.MaxReplicas = 12
	if err := w.client.Update(t.Context(), original); err != nil {
		t.Fatal(err)
	}
	w.tick()
	w.get("cart-primary", copied)
	if copied.Spec.MaxReplicas != 12 || copied.Spec.ScaleTargetRef.Name != "cart-primary" {
		t.Errorf("copy of the changed one = %+v", copied.Spec)
	}
	w.release("v2")
	w.until("Succeeded")
	w.serves("v2")
}

func TestAutoscalersThatCantBeCopied(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		objects               []*autoscalingv2.HorizontalPodAutoscaler
		kind, reason, message string
	}{
		"missing":                {nil, heddlev1alpha1.ConditionResolvedRefs, heddlev1alpha1.ReasonTargetNotFound, "shop/cart doesn't exist: create it"},
		"another's":              {[]*autoscalingv2.HorizontalPodAutoscaler{autoscaler("cart", "web")}, heddlev1alpha1.ConditionAccepted, heddlev1alpha1.ReasonUnsupported, "scales Deployment web"},
		"the copy's name is not": {[]*autoscalingv2.HorizontalPodAutoscaler{autoscaler("cart", "cart"), autoscaler("cart-primary", "web")}, heddlev1alpha1.ConditionConflicted, heddlev1alpha1.ReasonOwnedElsewhere, "isn't this Canary's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects := cart()
			for _, o := range test.objects {
				objects = append(objects, o)
			}
			w := newWorld(t, objects...)
			w.scaled("cart")
			for range 4 {
				w.tick()
			}
			c := meta.FindStatusCondition(w.canary().Conditions, test.kind)
			if c == nil || c.Reason != test.reason || !strings.Contains(c.Message, test.message) {
				t.Errorf("conditions = %+v", w.canary().Conditions)
			}
		})
	}
}
