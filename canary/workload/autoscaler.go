package workload

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EnsureAutoscaler has the primary scaled as the target is: by a copy of its
// HorizontalPodAutoscaler. The original rests while the target has no pods, and
// scales candidates.
func (p Pair) EnsureAutoscaler(ctx context.Context, name string) error {
	if p.Primary == nil {
		return nil
	}
	original := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Target.Namespace, Name: name}, original); err != nil {
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("HorizontalPodAutoscaler %s/%s doesn't exist: create it or correct spec.autoscalerRef.name: %w", p.Target.Namespace, name, ErrMissing)
		}
		return fmt.Errorf("get HorizontalPodAutoscaler %s: %w", name, err)
	}
	if ref := original.Spec.ScaleTargetRef; ref.Kind != "Deployment" || ref.Name != p.Target.Name {
		return fmt.Errorf("HorizontalPodAutoscaler %s scales %s %s, not Deployment %s: correct one of them: %w", name, ref.Kind, ref.Name, p.Target.Name, ErrUnsupported)
	}
	spec := *original.Spec.DeepCopy()
	spec.ScaleTargetRef.Name = p.Primary.Name
	copied := &autoscalingv2.HorizontalPodAutoscaler{}
	err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Target.Namespace, Name: PrimaryName(name)}, copied)
	switch {
	case apierrors.IsNotFound(err):
		copied = &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Target.Namespace, Name: PrimaryName(name), Labels: map[string]string{LabelCanary: p.Canary},
		}, Spec: spec}
		if err := p.Client.Create(ctx, copied); err != nil {
			return fmt.Errorf("create HorizontalPodAutoscaler %s: %w", copied.Name, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("get HorizontalPodAutoscaler %s: %w", PrimaryName(name), err)
	case copied.Labels[LabelCanary] != p.Canary:
		return fmt.Errorf("HorizontalPodAutoscaler %s exists and isn't this Canary's; rename it: %w", copied.Name, ErrOwnedElsewhere)
	case equality.Semantic.DeepEqual(copied.Spec, spec):
		return nil
	}
	copied.Spec = spec
	if err := p.Client.Update(ctx, copied); err != nil {
		return fmt.Errorf("update HorizontalPodAutoscaler %s: %w", copied.Name, err)
	}
	return nil
}
