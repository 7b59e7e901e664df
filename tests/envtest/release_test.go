package envtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// rollout is a Deployment that is released by a Canary.
type rollout struct {
	*testing.T
	o         *operator
	namespace string
}

// testRelease goes as far as it can without a judge: the first step of a
// release is taken when the candidate is ready.
func testRelease(t *testing.T, o *operator) {
	r := rollout{t, o, o.namespace(t, nil)}
	labels := map[string]string{"app": "cart"}
	r.o.create(t, &corev1.Service{ObjectMeta: r.meta("cart"), Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
	}})
	r.o.create(t, &appsv1.Deployment{ObjectMeta: r.meta("cart"), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "cart:1"}}},
		},
	}})
	r.rolledOut("cart")
	r.o.create(t, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: r.meta("cart"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"}, MaxReplicas: 3,
	}})
	r.o.create(t, &heddlev1alpha1.Canary{ObjectMeta: r.meta("cart"), Spec: heddlev1alpha1.CanarySpec{
		AutoscalerRef: &heddlev1alpha1.CanaryAutoscalerRef{Name: "cart"},
		TargetRef:     heddlev1alpha1.CanaryTargetRef{Name: "cart"}, Service: heddlev1alpha1.CanaryService{Port: 80},
		Analysis: heddlev1alpha1.CanaryAnalysis{StepWeights: []int32{30}},
	}})
	r.phase("Initializing")
	r.rolledOut("cart-primary")
	r.phase("Idle")
	r.shares("cart-primary=100 cart-canary=0")
	r.scales("cart-primary", 3)
	autoscaler := r.autoscaler("cart")
	autoscaler.Spec.MaxReplicas = 5
	if err := o.client.Update(t.Context(), autoscaler); err != nil {
		t.Fatal(err)
	}
	r.scales("cart-primary", 5)
	// Status says so before it is done.
	await(t, "between releases there is no candidate", func(context.Context) error {
		if got := r.replicas("cart"); got != 0 {
			return fmt.Errorf("%d replicas", got)
		}
		return nil
	})

	target := r.deployment("cart")
	target.Spec.Template.Spec.Containers[0].Image = "cart:2"
	if err := o.client.Update(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	r.phase("Progressing")
	await(t, "the candidate is asked for", func(context.Context) error {
		if got := r.replicas("cart"); got != 1 {
			return fmt.Errorf("%d replicas", got)
		}
		return nil
	})
	r.rolledOut("cart")
	r.shares("cart-primary=70 cart-canary=30")
	o.event(t, r.namespace, "NewRevision")
}

// event awaits one with the reason.
func (o *operator) event(t *testing.T, namespace, reason string) {
	t.Helper()
	await(t, "an event tells of "+reason, func(ctx context.Context) error {
		events, err := o.kube.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err == nil && len(events.Items) == 0 {
			err = errors.New("there is none")
		}
		return err
	})
}

func (r rollout) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.namespace, Name: name}
}

func (r rollout) deployment(name string) *appsv1.Deployment {
	r.Helper()
	d := &appsv1.Deployment{}
	await(r.T, "there is a Deployment "+name, func(ctx context.Context) error {
		return r.o.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, d)
	})
	return d
}

func (r rollout) replicas(name string) int32 { return *r.deployment(name).Spec.Replicas }

func (r rollout) autoscaler(name string) *autoscalingv2.HorizontalPodAutoscaler {
	r.Helper()
	a := &autoscalingv2.HorizontalPodAutoscaler{}
	await(r.T, "there is a HorizontalPodAutoscaler "+name, func(ctx context.Context) error {
		return r.o.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, a)
	})
	return a
}

// scales awaits that the autoscaler of the name scales the Deployment of the name so
// far.
func (r rollout) scales(name string, limit int32) {
	r.Helper()
	await(r.T, fmt.Sprintf("%s is scaled to %d at most", name, limit), func(context.Context) error {
		if spec := r.autoscaler(name).Spec; spec.ScaleTargetRef.Name != name || spec.MaxReplicas != limit {
			return fmt.Errorf("it scales %s to %d", spec.ScaleTargetRef.Name, spec.MaxReplicas)
		}
		return nil
	})
}

// rolledOut says what a controller would when all pods are ready.
func (r rollout) rolledOut(name string) {
	r.Helper()
	d := r.deployment(name)
	n := *d.Spec.Replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
	if err := r.o.client.Status().Update(r.Context(), d); err != nil {
		r.Fatal(err)
	}
}

func (r rollout) phase(want heddlev1alpha1.CanaryPhase) {
	r.Helper()
	await(r.T, "the release is "+string(want), func(ctx context.Context) error {
		var canary heddlev1alpha1.Canary
		if err := r.o.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: "cart"}, &canary); err != nil {
			return err
		}
		if canary.Status.Phase != want {
			return fmt.Errorf("it is %s: %s", canary.Status.Phase, canary.Status.Message)
		}
		return nil
	})
}

func (r rollout) shares(want string) {
	r.Helper()
	await(r.T, "the split is "+want, func(ctx context.Context) error {
		var split splitv1alpha4.TrafficSplit
		if err := r.o.client.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: "cart"}, &split); err != nil {
			return err
		}
		var shares []string
		for _, b := range split.Spec.Backends {
			shares = append(shares, fmt.Sprintf("%s=%d", b.Service, b.Weight))
		}
		if got := strings.Join(shares, " "); got != want {
			return fmt.Errorf("it is %s", got)
		}
		owner := metav1.GetControllerOf(&split)
		if owner == nil || owner.Kind != "Canary" {
			return fmt.Errorf("its owner is %v", owner)
		}
		return nil
	})
}

// testFindings has the operator say what the API server let pass.
func testFindings(t *testing.T, o *operator) {
	t.Run("the mesh's own", func(t *testing.T) { testMeshConfig(t, o) })
	namespace := o.namespace(t, nil)
	for _, tc := range []struct{ kind, spec, condition, reason, message string }{
		{"TrafficSplit", `{service: none, backends: [{service: none-v1, weight: 1}]}`, heddlev1alpha1.ConditionResolvedRefs, heddlev1alpha1.ReasonServiceNotFound, "spec.service: there is no Service " + namespace + "/none"},
		{"TrafficTarget", `{destination: {kind: ServiceAccount, name: a, namespace: elsewhere}, sources: [], rules: []}`, heddlev1alpha1.ConditionAccepted, heddlev1alpha1.ReasonCrossNamespaceDestination, "spec.destination.namespace: "},
		{"UDPRoute", `{matches: {ports: [53]}}`, heddlev1alpha1.ConditionAccepted, heddlev1alpha1.ReasonUnsupported, "kind: UDP passes the mesh by"},
	} {
		object := kindNamed(tc.kind).object(t, namespace, "bad", tc.spec)
		o.create(t, object)
		await(t, tc.kind+" is judged", func(ctx context.Context) error {
			if err := o.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
				return err
			}
			for _, c := range conditionsOf(t, object) {
				if c.Type == tc.condition && c.Status == metav1.ConditionFalse && c.Reason == tc.reason && strings.HasPrefix(c.Message, tc.message) {
					return nil
				}
			}
			return fmt.Errorf("status %v", object.Object["status"])
		})
		if object.GetGeneration() != 1 {
			t.Errorf("%s: generation %d: its spec was written", tc.kind, object.GetGeneration())
		}
		if diff := cmp.Diff(parse(t, tc.spec), object.Object["spec"]); diff != "" {
			t.Errorf("%s: spec (-want +got):\n%s", tc.kind, diff)
		}
		o.event(t, namespace, tc.reason)
	}
}

// The MeshConfig that counts is told so.
func testMeshConfig(t *testing.T, o *operator) {
	config := manifest(t, "", `{apiVersion: heddle.dev/v1alpha1, kind: MeshConfig, spec: {}}`)
	o.create(t, config)
	await(t, "it counts", func(ctx context.Context) error {
		if err := o.client.Get(ctx, client.ObjectKeyFromObject(config), config); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(conditionsOf(t, config), heddlev1alpha1.ConditionAccepted) {
			return fmt.Errorf("status %v", config.Object["status"])
		}
		return nil
	})
	if err := o.client.Delete(t.Context(), config); err != nil {
		t.Error(err)
	}
}
