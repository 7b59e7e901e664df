package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/gate"
	"github.com/heddle-mesh/heddle/canary/live"
	"github.com/heddle-mesh/heddle/canary/metrics"
	"github.com/heddle-mesh/heddle/canary/notify"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// world is a cluster whose Deployments are ready at once.
type world struct {
	*testing.T
	client client.Client
	now    time.Time
	sample analysis.Sample
	look   analysis.Look
	values map[string]float64 // by query
	asked  []metrics.Provider
	nos    map[string]error // of hooks, by name
	calls  []string         // of hooks: name, phase and event
	alerts []string         // provider, severity and reason
	hooks  sync.Mutex       // guards calls and alerts
	lost   string           // what the sidecars say
	follow []live.Subject
	broken error
	stuck  bool // the primary never gets ready
	events []string
	r      *Reconciler
}

func (w *world) Measure(context.Context, string, string, time.Duration, time.Time) (analysis.Sample, error) {
	return w.sample, w.broken
}

func (w *world) Look(context.Context, metrics.Pair, engine.Evidence, time.Time) (analysis.Look, error) {
	return w.look, w.broken
}

func (w *world) Value(_ context.Context, of metrics.Provider, query string, _ time.Time) (float64, error) {
	w.asked = append(w.asked, of)
	v, ok := w.values[query]
	if !ok {
		return 0, fmt.Errorf("no query is %s", query)
	}
	return v, nil
}

func (w *world) Call(_ context.Context, h gate.Hook, p gate.Payload) error {
	w.hooks.Lock()
	defer w.hooks.Unlock()
	w.calls = append(w.calls, strings.TrimSpace(h.Name+" "+p.Phase+" "+p.Metadata["eventType"]))
	return w.nos[h.Name]
}

func (w *world) Send(_ context.Context, p notify.Provider, m notify.Message) error {
	w.hooks.Lock()
	defer w.hooks.Unlock()
	w.alerts = append(w.alerts, p.Type+" "+p.Address+" "+m.Severity.String()+" "+m.Reason)
	return nil
}

func (w *world) Follow(_ types.NamespacedName, s live.Subject) { w.follow = append(w.follow, s) }

func (w *world) Leave(types.NamespacedName) { w.follow = nil }

func (w *world) Words(_ types.NamespacedName, since time.Time) string {
	if len(w.follow) == 0 || !w.follow[len(w.follow)-1].Since.Equal(since) {
		return ""
	}
	return w.lost
}

func (w *world) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	w.events = append(w.events, reason)
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, heddlev1alpha1.AddToScheme, splitv1alpha4.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	canary := &heddlev1alpha1.Canary{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "1"}, Spec: heddlev1alpha1.CanarySpec{
		TargetRef: heddlev1alpha1.CanaryTargetRef{Name: "cart"}, Service: heddlev1alpha1.CanaryService{Port: 80},
		Analysis: heddlev1alpha1.CanaryAnalysis{Interval: metav1.Duration{Duration: 10 * time.Second}, StepWeights: []int32{20, 60}, Threshold: 2},
	}}
	w := &world{T: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), sample: analysis.Sample{Requests: 100}}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, canary)...).
		WithStatusSubresource(&heddlev1alpha1.Canary{}, &appsv1.Deployment{}).Build()
	w.r = &Reconciler{Client: w.client, Secrets: w.client, Events: w, Live: w, Source: w, Hooks: w, Alerts: w, Clock: func() time.Time { return w.now }, Settle: 10 * time.Second}
	return w
}

func cart() []client.Object {
	two := int32(2)
	labels := map[string]string{"app": "cart", "tier": "web"}
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: appsv1.DeploymentSpec{
			Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "v1"}}}},
		}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "cart"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		}},
	}
}

func (w *world) get(name string, o client.Object) {
	w.Helper()
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: "shop", Name: name}, o); err != nil {
		w.Fatal(err)
	}
}

func (w *world) canary() heddlev1alpha1.CanaryStatus {
	c := &heddlev1alpha1.Canary{}
	w.get("cart", c)
	return c.Status
}

// tick lets ten seconds go by: Deployments get ready, then the canary moves.
func (w *world) tick() {
	w.Helper()
	w.now = w.now.Add(10 * time.Second)
	var list appsv1.DeploymentList
	if err := w.client.List(w.Context(), &list); err != nil {
		w.Fatal(err)
	}
	for i := range list.Items {
		d := &list.Items[i]
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, AvailableReplicas: n}
		if w.stuck && d.Name == "cart-primary" {
			d.Status.AvailableReplicas = 0
		}
		if err := w.client.Status().Update(w.Context(), d); err != nil {
			w.Fatal(err)
		}
	}
	w.step()
}

// step moves the canary, now.
func (w *world) step() {
	w.Helper()
	if _, err := w.r.Reconcile(w.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "cart"}}); err != nil {
		w.Fatal(err)
	}
}

func labelsOf(app string) labels.Set { return labels.Set{"app": app, "tier": "web"} }

// until ticks to a phase and returns the weights of the canary on the way.
func (w *world) until(phase heddlev1alpha1.CanaryPhase) []int32 {
	w.Helper()
	var weights []int32
	for range 100 {
		w.tick()
		s := w.canary()
		if len(weights) == 0 || weights[len(weights)-1] != s.Weight {
			weights = append(weights, s.Weight)
		}
		if s.Phase == phase {
			return weights
		}
	}
	w.Fatalf("never %s: %+v", phase, w.canary())
	return nil
}

func (w *world) release(image string) {
	w.Helper()
	d := &appsv1.Deployment{}
	w.get("cart", d)
	d.Spec.Template.Spec.Containers[0].Image = image
	if err := w.client.Update(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

// serves checks what is there between releases.
func (w *world) serves(image string) {
	w.Helper()
	target, primary := &appsv1.Deployment{}, &appsv1.Deployment{}
	w.get("cart", target)
	w.get("cart-primary", primary)
	root, split := &corev1.Service{}, &splitv1alpha4.TrafficSplit{}
	w.get("cart", root)
	w.get("cart", split)
	if got := primary.Spec.Template.Spec.Containers[0].Image; got != image || *primary.Spec.Replicas != 2 || *target.Spec.Replicas != 0 {
		w.Errorf("primary has %d of %s, target %d; want 2 of %s and 0", *primary.Spec.Replicas, got, *target.Spec.Replicas, image)
	}
	if primary.Spec.Selector.MatchLabels["app"] != "cart-primary" || primary.Spec.Template.Labels["app"] != "cart-primary" || root.Spec.Selector["app"] != "cart-primary" {
		w.Error("the root service doesn't lead to the primary")
	}
	if b := split.Spec.Backends; b[0].Service != "cart-primary" || b[0].Weight != 100 || b[1].Weight != 0 {
		w.Errorf("backends = %+v", b)
	}
}

func equal(a []int32, b ...int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestGoodAndBadRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.until("Idle")
	w.tick()
	w.serves("v1")

	w.release("v2")
	if got := w.until("Succeeded"); !equal(got, 0, 20, 60, 0) {
		t.Errorf("weights of the good release = %v", got)
	}
	w.serves("v2")

	w.sample.Bad = 20
	w.release("v3")
	if got := w.until("Failed"); !equal(got, 0, 20, 0) {
		t.Errorf("weights of the bad release = %v", got)
	}
	w.serves("v2")
	if s := w.canary(); !strings.Contains(s.Message, "80.0 %") || s.Failures != 2 {
		t.Errorf("status = %+v", s)
	}
	w.tick()
	if s := w.canary(); s.Phase != "Failed" {
		t.Errorf("phase %s after a failure without a new revision", s.Phase)
	}
}

func TestCaseO45_NobodyCalls(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{"holds without requests": nil, "holds without Prometheus": errors.New("down")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cart()...)
			w.until("Idle")
			w.sample, w.broken = analysis.Sample{Requests: math.NaN(), Bad: math.NaN(), LatencyMS: math.NaN()}, broken
			w.release("v2")
			for range 20 {
				w.tick()
			}
			if s := w.canary(); s.Weight != 20 || s.Failures != 0 {
				t.Errorf("status = %+v", s)
			}
			w.until("Failed") // at the deadline
			w.serves("v1")
		})
	}
}

func TestCaseO51_PrimaryThatIsNeverReadyGetsItsTemplateBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cart()...)
	w.until("Idle")
	w.release("v2")
	w.until("Promoting")
	w.stuck = true
	w.until("Failed")
	w.serves("v1")
}

func TestTargetMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tick()
	w.tick()
	c := meta.FindStatusCondition(w.canary().Conditions, heddlev1alpha1.ConditionResolvedRefs)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != heddlev1alpha1.ReasonTargetNotFound || !strings.Contains(c.Message, "shop/cart") {
		t.Errorf("condition = %+v", c)
	}
	if len(w.events) != 1 {
		t.Errorf("events = %v, want one", w.events)
	}
}

func TestForeignSplitIsNotOverwritten(t *testing.T) {
	t.Parallel()
	foreign := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: splitv1alpha4.TrafficSplitSpec{Service: "other"}}
	w := newWorld(t, append(cart(), foreign)...)
	for range 6 {
		w.tick()
	}
	if !meta.IsStatusConditionTrue(w.canary().Conditions, heddlev1alpha1.ConditionConflicted) {
		t.Errorf("status = %+v", w.canary())
	}
	split, root := &splitv1alpha4.TrafficSplit{}, &corev1.Service{}
	w.get("cart", split)
	w.get("cart", root)
	if split.Spec.Service != "other" || root.Spec.Selector["app"] != "cart" {
		t.Error("something moved in spite of the conflict")
	}
}
