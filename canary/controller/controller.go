// Package controller runs releases: it gathers what the engine needs, lets it
// decide, stores the state and then makes happen what was decided.
//
//	Canary, Deployments, metrics -> engine.Step -> status, then actions
//
// Status is written first: a writer that has seen old things fails before it
// moves traffic.
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/egress"
	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/gate"
	"github.com/heddle-mesh/heddle/canary/live"
	"github.com/heddle-mesh/heddle/canary/metrics"
	"github.com/heddle-mesh/heddle/canary/notify"
	"github.com/heddle-mesh/heddle/canary/traffic"
	"github.com/heddle-mesh/heddle/canary/workload"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// unreadable is said while Prometheus doesn't answer.
const unreadable = "metrics could not be read: is Prometheus reachable?"

// Measurer measures requests: a Deployment's in the window before now, or those
// of candidate and primary since the evidence was last added to.
type Measurer interface {
	Look(ctx context.Context, of metrics.Pair, e engine.Evidence, now time.Time) (analysis.Look, error)
	Measure(ctx context.Context, namespace, deployment string, window time.Duration, now time.Time) (analysis.Sample, error)
	// Value asks somebody's own Prometheus, or ours when none is named.
	Value(ctx context.Context, of metrics.Provider, query string, now time.Time) (float64, error)
}

// Announcer writes Events.
type Announcer interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Follower follows candidates between checks.
type Follower interface {
	Follow(canary types.NamespacedName, s live.Subject)
	Leave(canary types.NamespacedName)
	// Words says why the check after that of the time is lost, if it is.
	Words(canary types.NamespacedName, since time.Time) string
}

// Options are what SetupWithManager needs beyond the manager, whose scheme
// must know Canary, TrafficSplit v1alpha4, Deployment and Service.
type Options struct {
	PrometheusURL string
	// Clock is time.Now by default.
	Clock func() time.Time
	// Settle is the time between moving traffic away from pods and ending
	// them; 10 seconds by default.
	Settle time.Duration
}

// Reconciler runs the releases of all namespaces. Its fields don't change
// after the start.
type Reconciler struct {
	Client client.Client
	// Secrets are read as they are used and never kept.
	Secrets client.Reader
	Events  Announcer
	Source  Measurer
	Hooks   Asker
	Alerts  Notifier
	Live    Follower
	Clock   func() time.Time
	Settle  time.Duration
}

// atOnce is how many canaries are worked on at the same time; most of it is
// waiting for others' answers.
const atOnce = 32

// SetupWithManager adds the controller; it runs on the leader only.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	prometheus, err := metrics.New(o.PrometheusURL)
	if err != nil {
		return err
	}
	lost := make(chan event.GenericEvent)
	follower := &live.Follower{Pods: mgr.GetClient(), Read: live.Sidecar(), Lost: lost, Clock: time.Now}
	if err := mgr.Add(follower); err != nil {
		return fmt.Errorf("canary controller: %w", err)
	}
	r := &Reconciler{Live: follower, Client: mgr.GetClient(), Secrets: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("heddle-canary"), Source: prometheus, Hooks: gate.Caller{Guard: egress.Outside}, Alerts: notify.Sender{Guard: egress.Outside}, Clock: o.Clock, Settle: o.Settle}
	if r.Clock == nil {
		r.Clock = time.Now
	}
	if r.Settle == 0 {
		r.Settle = 10 * time.Second
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("canary").
		For(&heddlev1alpha1.Canary{}).
		Owns(&splitv1alpha4.TrafficSplit{}).
		Watches(&autoscalingv2.HorizontalPodAutoscaler{}, handler.EnqueueRequestsFromMapFunc(r.concerned)).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.concerned)).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.concerned)).
		WatchesRawSource(source.Channel(lost, &handler.EnqueueRequestForObject{})).
		WithOptions(crcontroller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("canary controller: %w", err)
	}
	return nil
}

// concerned lists the canaries that an object matters to.
func (r *Reconciler) concerned(ctx context.Context, o client.Object) []reconcile.Request {
	var canaries heddlev1alpha1.CanaryList
	if err := r.Client.List(ctx, &canaries, client.InNamespace(o.GetNamespace())); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list canaries")
		return nil
	}
	var requests []reconcile.Request
	for i := range canaries.Items {
		c := &canaries.Items[i]
		if o.GetLabels()[workload.LabelCanary] == c.Name || o.GetName() == c.Spec.TargetRef.Name ||
			o.GetName() == workload.PrimaryName(c.Spec.TargetRef.Name) || c.Spec.AutoscalerRef != nil && o.GetName() == c.Spec.AutoscalerRef.Name || o.GetName() == rootOf(c).Name {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c)})
		}
	}
	return requests
}

// Reconcile does one step of one canary. What was decided on something that
// has changed meanwhile is no error: it is decided again in a moment.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.step(ctx, request)
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return reconcile.Result{}, nil // the canary goes with its namespace
	}
	return result, err
}

func (r *Reconciler) step(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	canary := &heddlev1alpha1.Canary{}
	if err := r.Client.Get(ctx, request.NamespacedName, canary); err != nil || canary.DeletionTimestamp != nil {
		r.Live.Leave(request.NamespacedName)
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := r.Clock().Truncate(time.Second) // as precise as what is stored
	pair, err := r.read(ctx, canary)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.report(ctx, canary, heddlev1alpha1.ConditionResolvedRefs, heddlev1alpha1.ReasonTargetNotFound,
			fmt.Sprintf("Deployment %s/%s doesn't exist: create it or correct spec.targetRef.name", canary.Namespace, canary.Spec.TargetRef.Name), now)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	plan, state := planOf(canary, r.Settle), stateOf(canary)
	if meta.IsStatusConditionTrue(canary.Status.Conditions, heddlev1alpha1.ConditionConflicted) {
		plan.Suspend = true // nothing moves until what must hold can be made to
	}
	observation, err := r.observe(ctx, canary, pair, plan, state, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	next, actions := engine.Step(plan, state, observation, now)
	if err := r.store(ctx, canary, next); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.follow(canary, pair, plan, next); err != nil {
		return reconcile.Result{}, err
	}
	err = r.apply(ctx, canary, pair, actions)
	r.announce(ctx, canary, next, actions, now) // comes only once, whatever became of the rest
	switch {
	case errors.Is(err, traffic.ErrOwnedElsewhere), errors.Is(err, workload.ErrOwnedElsewhere):
		return reconcile.Result{RequeueAfter: 30 * time.Second},
			r.report(ctx, canary, heddlev1alpha1.ConditionConflicted, heddlev1alpha1.ReasonOwnedElsewhere, err.Error(), now)
	case errors.Is(err, workload.ErrMissing):
		return reconcile.Result{RequeueAfter: 30 * time.Second},
			r.report(ctx, canary, heddlev1alpha1.ConditionResolvedRefs, heddlev1alpha1.ReasonTargetNotFound, err.Error(), now)
	case errors.Is(err, workload.ErrUnsupported):
		return reconcile.Result{RequeueAfter: 30 * time.Second},
			r.report(ctx, canary, heddlev1alpha1.ConditionAccepted, heddlev1alpha1.ReasonUnsupported, err.Error(), now)
	case err != nil:
		return reconcile.Result{}, err
	}
	if err := r.clear(ctx, canary, now); err != nil {
		return reconcile.Result{}, err
	}
	wake := engine.WakeAt(plan, next, now)
	if wake.IsZero() || plan.Suspend {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(wake.Sub(r.Clock()), 200*time.Millisecond)}, nil
}

func (r *Reconciler) read(ctx context.Context, canary *heddlev1alpha1.Canary) (workload.Pair, error) {
	pair := workload.Pair{Client: r.Client, Canary: canary.Name, Target: &appsv1.Deployment{}}
	key := types.NamespacedName{Namespace: canary.Namespace, Name: canary.Spec.TargetRef.Name}
	if err := r.Client.Get(ctx, key, pair.Target); err != nil {
		return pair, fmt.Errorf("get Deployment %s: %w", key, err)
	}
	key.Name = workload.PrimaryName(key.Name)
	primary := &appsv1.Deployment{}
	err := r.Client.Get(ctx, key, primary)
	switch {
	case err == nil:
		pair.Primary = primary
	case !apierrors.IsNotFound(err):
		return pair, fmt.Errorf("get the primary: %s", err) //nolint:errorlint // only the target's absence is to be told apart
	}
	return pair, nil
}

func (r *Reconciler) observe(ctx context.Context, canary *heddlev1alpha1.Canary, pair workload.Pair, plan engine.Plan, state engine.State, now time.Time) (engine.Observation, error) {
	o := engine.Observation{Request: requestOf(canary)}
	var err error
	if o.Target, o.Primary, err = pair.Observe(); err != nil {
		return o, fmt.Errorf("look at Deployment %s: %w", pair.Target.Name, err)
	}
	if o.Routing, err = r.router(canary).Confirm(ctx, canary, rootOf(canary).Name, state.Shares()); err != nil {
		return o, err //nolint:wrapcheck // it says what was attempted
	}
	if engine.Watches(plan, state) {
		o.Lost = r.Live.Words(client.ObjectKeyFromObject(canary), since(state))
	}
	if engine.Due(plan, state, now) {
		r.judge(ctx, canary, plan, state, now, &o)
	}
	o.Answers = r.ask(ctx, canary, engine.Asks(plan, state, o, now), state.Revision)
	return o, nil
}

func (r *Reconciler) apply(ctx context.Context, canary *heddlev1alpha1.Canary, pair workload.Pair, actions []engine.Action) error {
	root := rootOf(canary)
	for _, action := range actions { // words first: they come only once
		if e, ok := action.(engine.Emit); ok {
			r.Events.Eventf(canary, nil, eventType(e), e.Reason, "Release", "%s", e.Message)
		}
	}
	if err := pair.EnsureBackends(ctx, root); err != nil {
		return err //nolint:wrapcheck // it says what was attempted
	}
	for _, action := range actions {
		var err error
		switch a := action.(type) {
		case engine.CopyTemplate:
			err = pair.CopyTemplate(ctx, a.Revision)
		case engine.RestoreTemplate:
			err = pair.RestoreTemplate(ctx, a.Revision)
		case engine.SetWeights:
			err = r.router(canary).SetWeights(ctx, canary, root.Name, a)
		case engine.SelectPrimary:
			err = pair.SelectPrimary(ctx, root)
		case engine.ScaleCanary:
			err = pair.Scale(ctx, a.Up)
		case engine.Emit, engine.RunHooks: // told of afterwards
		}
		if err != nil {
			return err
		}
	}
	if ref := canary.Spec.AutoscalerRef; ref != nil {
		return pair.EnsureAutoscaler(ctx, ref.Name) //nolint:wrapcheck // it says what was attempted
	}
	return nil
}

func (r *Reconciler) router(canary *heddlev1alpha1.Canary) traffic.Router {
	router := traffic.Router{Client: r.Client}
	switch c := canary.Spec.Analysis.Cohort; {
	case c == nil:
	case c.Header != "":
		router.Cohort = "header:" + c.Header
	default:
		router.Cohort = "cookie:" + c.Cookie
	}
	return router
}

func (r *Reconciler) status(ctx context.Context, canary *heddlev1alpha1.Canary, before heddlev1alpha1.CanaryStatus) error {
	if same(before, canary.Status) {
		return nil
	}
	if err := r.Client.Status().Update(ctx, canary); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// store writes the state.
func (r *Reconciler) store(ctx context.Context, canary *heddlev1alpha1.Canary, s engine.State) error {
	before := *canary.Status.DeepCopy()
	into(canary, s)
	return r.status(ctx, canary, before)
}

// clear says that everything could be made to hold.
func (r *Reconciler) clear(ctx context.Context, canary *heddlev1alpha1.Canary, now time.Time) error {
	before := *canary.Status.DeepCopy()
	if meta.RemoveStatusCondition(&canary.Status.Conditions, heddlev1alpha1.ConditionConflicted) ||
		meta.IsStatusConditionFalse(canary.Status.Conditions, heddlev1alpha1.ConditionAccepted) {
		canary.Status.Message = "what was in the way is gone"
	}
	if c := meta.FindStatusCondition(canary.Status.Conditions, heddlev1alpha1.ConditionResolvedRefs); c != nil && c.Status == metav1.ConditionFalse && c.Message == canary.Status.Message {
		canary.Status.Message = "what was missing is there"
	}
	condition(canary, heddlev1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, heddlev1alpha1.ReasonResolvedRefs, "what it names exists", now)
	condition(canary, heddlev1alpha1.ConditionAccepted, metav1.ConditionTrue, heddlev1alpha1.ReasonAccepted, "releases of the target are watched over", now)
	return r.status(ctx, canary, before)
}

// report says what keeps a canary from working, once.
func (r *Reconciler) report(ctx context.Context, canary *heddlev1alpha1.Canary, kind, reason, message string, now time.Time) error {
	before := *canary.Status.DeepCopy()
	value := metav1.ConditionFalse
	if kind == heddlev1alpha1.ConditionConflicted {
		value = metav1.ConditionTrue
	}
	changed := condition(canary, kind, value, reason, message, now)
	canary.Status.Message, canary.Status.ObservedGeneration = message, canary.Generation
	if err := r.status(ctx, canary, before); err != nil {
		return err
	}
	if changed {
		r.Events.Eventf(canary, nil, corev1.EventTypeWarning, reason, "Release", "%s", message)
	}
	return nil
}
