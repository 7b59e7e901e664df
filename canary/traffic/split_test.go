package traffic

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/heddle-mesh/heddle/canary/engine"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

var owner = &heddlev1alpha1.Canary{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "1"}}

func router(t *testing.T, objects ...client.Object) Router {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{heddlev1alpha1.AddToScheme, splitv1alpha4.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return Router{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&splitv1alpha4.TrafficSplit{}).Build()}
}

func (r Router) split(t *testing.T) *splitv1alpha4.TrafficSplit {
	t.Helper()
	split := &splitv1alpha4.TrafficSplit{}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(owner), split); err != nil {
		t.Fatal(err)
	}
	return split
}

func TestSetWeights(t *testing.T) {
	t.Parallel()
	r := router(t)
	for _, weight := range []int{0, 30, 30, 0} {
		if err := r.SetWeights(t.Context(), owner, "cart", engine.SetWeights{Primary: 100 - weight, Canary: weight}); err != nil {
			t.Fatal(err)
		}
		want := splitv1alpha4.TrafficSplitSpec{Service: "cart", Backends: []splitv1alpha4.TrafficSplitBackend{
			{Service: "cart-primary", Weight: 100 - weight}, {Service: "cart-canary", Weight: weight},
		}}
		if diff := cmp.Diff(want, r.split(t).Spec); diff != "" {
			t.Errorf("at %d: %s", weight, diff)
		}
	}
	if !metav1.IsControlledBy(r.split(t), owner) {
		t.Error("the split doesn't go with its owner")
	}
}

func TestWeightsThatHoldAreNotWritten(t *testing.T) {
	t.Parallel()
	r := router(t)
	var versions []string
	for range 2 {
		if err := r.SetWeights(t.Context(), owner, "cart", engine.SetWeights{Primary: 70, Canary: 30}); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, r.split(t).ResourceVersion)
	}
	if versions[0] != versions[1] {
		t.Error("written twice")
	}
}

func TestAnothersSplitIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := router(t, &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}})
	if err := r.SetWeights(t.Context(), owner, "cart", engine.SetWeights{Primary: 70, Canary: 30}); !errors.Is(err, ErrOwnedElsewhere) {
		t.Errorf("error = %v", err)
	}
	if got := r.split(t); got.Spec.Service != "" {
		t.Errorf("spec = %+v", got.Spec)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		weight   int // that the split says
		status   metav1.ConditionStatus
		observed int64
		want     engine.Routing
	}{
		"nobody says":                {30, "", 0, engine.RoutingUnknown},
		"proxies have it":            {30, metav1.ConditionTrue, 2, engine.RoutingConfirmed},
		"proxies had the one before": {30, metav1.ConditionTrue, 1, engine.RoutingPending},
		"a proxy is behind":          {30, metav1.ConditionFalse, 2, engine.RoutingPending},
		"they have other weights":    {60, metav1.ConditionTrue, 2, engine.RoutingPending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			split := &splitv1alpha4.TrafficSplit{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", Generation: 2}, Spec: shares("cart", 100-test.weight, test.weight),
			}
			if test.status != "" {
				split.Status.Conditions = []metav1.Condition{{Type: heddlev1alpha1.ConditionProgrammed, Status: test.status, ObservedGeneration: test.observed}}
			}
			if got, err := router(t, split).Confirm(t.Context(), owner, "cart", engine.SetWeights{Primary: 70, Canary: 30}); got != test.want || err != nil {
				t.Errorf("Confirm = %v, %v, want %v", got, err, test.want)
			}
		})
	}
	if got, err := router(t).Confirm(t.Context(), owner, "cart", engine.SetWeights{Primary: 70, Canary: 30}); got != engine.RoutingUnknown || err != nil {
		t.Errorf("without a split: %v, %v", got, err)
	}
}

// TestMatch: those that the group names go to the candidate whatever the weights
// are, and as all others once there is no match any more.
func TestMatch(t *testing.T) {
	t.Parallel()
	r := router(t)
	shared := func(match string) (weights [2]int, matches []splitv1alpha4.TrafficSplitMatch) {
		split := &splitv1alpha4.TrafficSplit{}
		if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "cart" + match}, split); err != nil {
			t.Fatal(err)
		}
		if !metav1.IsControlledBy(split, owner) {
			t.Error("the split doesn't go with its owner")
		}
		return [2]int{split.Spec.Backends[0].Weight, split.Spec.Backends[1].Weight}, split.Spec.Matches
	}
	for _, step := range []struct {
		say       engine.SetWeights
		all, some [2]int
		match     string
	}{
		{engine.SetWeights{Primary: 100, Match: "insiders"}, [2]int{100, 0}, [2]int{0, 100}, "insiders"},
		{engine.SetWeights{Primary: 80, Canary: 20, Match: "friends"}, [2]int{80, 20}, [2]int{0, 100}, "friends"},
		{engine.SetWeights{Primary: 50, Canary: 50}, [2]int{50, 50}, [2]int{50, 50}, "friends"},
		{engine.SetWeights{Primary: 100}, [2]int{100, 0}, [2]int{100, 0}, "friends"},
	} {
		if err := r.SetWeights(t.Context(), owner, "cart", step.say); err != nil {
			t.Fatal(err)
		}
		all, none := shared("")
		some, matches := shared("-match")
		want := []splitv1alpha4.TrafficSplitMatch{{Kind: "HTTPRouteGroup", Name: step.match}}
		if all != step.all || some != step.some || none != nil || !cmp.Equal(want, matches) {
			t.Errorf("%+v: %v for all, %v for %v", step.say, all, some, matches)
		}
	}
	split := &splitv1alpha4.TrafficSplit{}
	for _, name := range []string{"cart", "cart-match"} {
		for _, say := range []metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionTrue} {
			if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, split); err != nil {
				t.Fatal(err)
			}
			split.Status.Conditions = []metav1.Condition{{Type: heddlev1alpha1.ConditionProgrammed, Status: say, ObservedGeneration: split.Generation}}
			if err := r.Client.Status().Update(t.Context(), split); err != nil {
				t.Fatal(err)
			}
			want := engine.RoutingPending
			if say == metav1.ConditionTrue && name == "cart-match" {
				want = engine.RoutingConfirmed
			} else if name == "cart" {
				want = engine.RoutingUnknown // the other says nothing yet
			}
			if got, err := r.Confirm(t.Context(), owner, "cart", engine.SetWeights{Primary: 100}); got != want || err != nil {
				t.Errorf("%s %s: %v, %v, want %v", name, say, got, err, want)
			}
		}
	}
}
