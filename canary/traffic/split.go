// Package traffic shares out a root service's requests by writing an SMI
// TrafficSplit, and knows of no mesh beyond that.
package traffic

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/heddle-mesh/heddle/canary/engine"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// ErrOwnedElsewhere is returned for a TrafficSplit of the right name that
// belongs to somebody else. It is never overwritten.
var ErrOwnedElsewhere = errors.New("owned elsewhere")

// Router writes one TrafficSplit, named as its owner.
type Router struct {
	Client client.Client
}

// Confirm tells whether the proxies do what the owner's split says with these
// weights. Heddle says so in condition Programmed; other meshes say nothing.
func (r Router) Confirm(ctx context.Context, owner client.Object, root string, primary, canary int) (engine.Routing, error) {
	split := &splitv1alpha4.TrafficSplit{}
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(owner), split); err != nil {
		if apierrors.IsNotFound(err) {
			return engine.RoutingUnknown, nil
		}
		return engine.RoutingUnknown, fmt.Errorf("get TrafficSplit %s: %w", owner.GetName(), err)
	}
	programmed := meta.FindStatusCondition(split.Status.Conditions, heddlev1alpha1.ConditionProgrammed)
	switch {
	case programmed == nil:
		return engine.RoutingUnknown, nil
	case same(split.Spec, shares(root, primary, canary)) && programmed.Status == metav1.ConditionTrue && programmed.ObservedGeneration == split.Generation:
		return engine.RoutingConfirmed, nil
	}
	return engine.RoutingPending, nil
}

func shares(root string, primary, canary int) splitv1alpha4.TrafficSplitSpec {
	return splitv1alpha4.TrafficSplitSpec{Service: root, Backends: []splitv1alpha4.TrafficSplitBackend{
		{Service: root + "-primary", Weight: primary}, {Service: root + "-canary", Weight: canary},
	}}
}

// SetWeights makes the split of the owner say so.
func (r Router) SetWeights(ctx context.Context, owner client.Object, root string, primary, canary int) error {
	want := shares(root, primary, canary)
	split := &splitv1alpha4.TrafficSplit{}
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(owner), split)
	switch {
	case apierrors.IsNotFound(err):
		split.ObjectMeta = metav1.ObjectMeta{Namespace: owner.GetNamespace(), Name: owner.GetName()}
		split.Spec = want
		if err := controllerutil.SetControllerReference(owner, split, r.Client.Scheme()); err != nil {
			return fmt.Errorf("own TrafficSplit %s: %w", split.Name, err)
		}
		if err := r.Client.Create(ctx, split); err != nil {
			return fmt.Errorf("create TrafficSplit %s: %w", split.Name, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("get TrafficSplit %s: %w", owner.GetName(), err)
	case !metav1.IsControlledBy(split, owner):
		return fmt.Errorf("TrafficSplit %s exists and isn't this Canary's; delete or rename one of them: %w", split.Name, ErrOwnedElsewhere)
	case same(split.Spec, want):
		return nil
	}
	split.Spec = want
	if err := r.Client.Update(ctx, split); err != nil {
		return fmt.Errorf("update TrafficSplit %s: %w", split.Name, err)
	}
	return nil
}

func same(a, b splitv1alpha4.TrafficSplitSpec) bool {
	if a.Service != b.Service || len(a.Matches) != 0 || len(a.Backends) != len(b.Backends) {
		return false
	}
	for i := range a.Backends {
		if a.Backends[i] != b.Backends[i] {
			return false
		}
	}
	return true
}
