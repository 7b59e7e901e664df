// Package traffic shares out a root service's requests by writing an SMI
// TrafficSplit, and knows of no mesh beyond that.
package traffic

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
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

// Router writes the TrafficSplits of an owner: one of its name, and, once there
// is a match, one named NAME-match.
type Router struct {
	Client client.Client
	// Cohort is the value of annotation heddle.dev/cohort; empty is none.
	Cohort string
}

// wanted is a split as it should be.
type wanted struct {
	name   string
	spec   splitv1alpha4.TrafficSplitSpec
	cohort string
	lazy   bool // needn't be there
}

// splits are in the order to write them. Without a match its split, if there
// is one, shares as the other does: it takes precedence.
func (r Router) splits(owner, root string, w engine.SetWeights) []wanted {
	all := wanted{name: owner, spec: shares(root, w.Primary, w.Canary), cohort: r.Cohort}
	some := wanted{name: owner + "-match", spec: shares(root, w.Primary, w.Canary), cohort: r.Cohort, lazy: w.Match == ""}
	if w.Match != "" {
		some.spec = shares(root, 0, 100)
		some.spec.Matches = []splitv1alpha4.TrafficSplitMatch{{Kind: "HTTPRouteGroup", Name: w.Match}}
	}
	return []wanted{some, all}
}

// holds is whether the split says so. A lazy one may match what it did.
func (w wanted) holds(s *splitv1alpha4.TrafficSplit) bool {
	if w.lazy {
		w.spec.Matches = s.Spec.Matches
	}
	return equality.Semantic.DeepEqual(s.Spec, w.spec) && s.Annotations[heddlev1alpha1.AnnotationCohort] == w.cohort
}

func (w wanted) annotate(s *splitv1alpha4.TrafficSplit) {
	if w.cohort == "" {
		delete(s.Annotations, heddlev1alpha1.AnnotationCohort)
		return
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, heddlev1alpha1.AnnotationCohort, w.cohort)
}

// Confirm tells whether the proxies do what the owner's splits say with these
// weights. Heddle says so in condition Programmed; other meshes say nothing.
func (r Router) Confirm(ctx context.Context, owner client.Object, root string, w engine.SetWeights) (engine.Routing, error) {
	result := engine.RoutingConfirmed
	for _, want := range r.splits(owner.GetName(), root, w) {
		split, err := r.get(ctx, owner, want.name)
		if err != nil {
			return engine.RoutingUnknown, err
		}
		if split == nil {
			if want.lazy {
				continue
			}
			return engine.RoutingUnknown, nil
		}
		programmed := meta.FindStatusCondition(split.Status.Conditions, heddlev1alpha1.ConditionProgrammed)
		switch {
		case programmed == nil:
			return engine.RoutingUnknown, nil
		case !want.holds(split) || programmed.Status != metav1.ConditionTrue || programmed.ObservedGeneration != split.Generation:
			result = engine.RoutingPending
		}
	}
	return result, nil
}

func shares(root string, primary, canary int) splitv1alpha4.TrafficSplitSpec {
	return splitv1alpha4.TrafficSplitSpec{Service: root, Backends: []splitv1alpha4.TrafficSplitBackend{
		{Service: root + "-primary", Weight: primary}, {Service: root + "-canary", Weight: canary},
	}}
}

// SetWeights makes the splits of the owner say so.
func (r Router) SetWeights(ctx context.Context, owner client.Object, root string, w engine.SetWeights) error {
	for _, want := range r.splits(owner.GetName(), root, w) {
		if err := r.write(ctx, owner, want); err != nil {
			return err
		}
	}
	return nil
}

func (r Router) write(ctx context.Context, owner client.Object, want wanted) error {
	split, err := r.get(ctx, owner, want.name)
	switch {
	case err != nil:
		return err
	case split == nil && want.lazy:
		return nil
	case split == nil:
		split = &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: owner.GetNamespace(), Name: want.name}, Spec: want.spec}
		want.annotate(split)
		if err := controllerutil.SetControllerReference(owner, split, r.Client.Scheme()); err != nil {
			return fmt.Errorf("own TrafficSplit %s: %w", split.Name, err)
		}
		if err := r.Client.Create(ctx, split); err != nil {
			return fmt.Errorf("create TrafficSplit %s: %w", split.Name, err)
		}
		return nil
	case !metav1.IsControlledBy(split, owner) && want.lazy:
		return nil // somebody else's of that name is in nobody's way
	case !metav1.IsControlledBy(split, owner):
		return fmt.Errorf("TrafficSplit %s exists and isn't this Canary's; delete or rename one of them: %w", split.Name, ErrOwnedElsewhere)
	case want.holds(split):
		return nil
	}
	if want.lazy {
		want.spec.Matches = split.Spec.Matches
	}
	split.Spec = want.spec
	want.annotate(split)
	if err := r.Client.Update(ctx, split); err != nil {
		return fmt.Errorf("update TrafficSplit %s: %w", split.Name, err)
	}
	return nil
}

// get returns nil where there is none.
func (r Router) get(ctx context.Context, owner client.Object, name string) (*splitv1alpha4.TrafficSplit, error) {
	split := &splitv1alpha4.TrafficSplit{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: owner.GetNamespace(), Name: name}, split)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent is no error here
	}
	if err != nil {
		return nil, fmt.Errorf("get TrafficSplit %s: %w", name, err)
	}
	return split, nil
}
