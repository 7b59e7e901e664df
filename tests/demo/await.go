package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// Kinds that are awaited.
var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	canaries    = schema.GroupVersionResource{Group: "heddle.dev", Version: "v1alpha1", Resource: "canaries"}
	splits      = schema.GroupVersionResource{Group: "split.smi-spec.io", Version: "v1alpha4", Resource: "trafficsplits"}
	targets     = schema.GroupVersionResource{Group: "access.smi-spec.io", Version: "v1alpha3", Resource: "traffictargets"}
)

// ref names one object.
type ref struct {
	kind            schema.GroupVersionResource
	namespace, name string
}

func (r ref) String() string { return fmt.Sprintf("%s %s/%s", r.kind.Resource, r.namespace, r.name) }

// holds says whether an object is as wanted, and in words what it is instead.
type holds func(*unstructured.Unstructured) (done bool, instead string, err error)

// await watches one object until it is as wanted.
func (d *demo) await(ctx context.Context, r ref, deadline time.Duration, wanted string, until holds) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	client := d.objects.Resource(r.kind).Namespace(r.namespace)
	only := fields.OneTermEqualSelector("metadata.name", r.name).String()
	instead := "it does not exist"
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return client.Watch(ctx, o)
		},
	}
	_, err := watchtools.UntilWithSync(ctx, lw, &unstructured.Unstructured{}, nil, func(e watch.Event) (bool, error) {
		o, ok := e.Object.(*unstructured.Unstructured)
		if !ok || o.GetName() != r.name {
			return false, nil
		}
		if e.Type == watch.Deleted {
			instead = "it was deleted"
			return false, nil
		}
		done, now, err := until(o)
		instead = now
		return done, err
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("%v: not %s after %v: %s", r, wanted, deadline, instead)
	}
	return fmt.Errorf("%v: wait until %s: %w", r, wanted, err)
}

// rolledOut is whether a Deployment runs what its spec says, and only that.
func rolledOut(o *unstructured.Unstructured) (bool, string, error) {
	var dep appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &dep); err != nil {
		return false, "", fmt.Errorf("read deployment: %w", err)
	}
	want := int32(1)
	if dep.Spec.Replicas != nil {
		want = *dep.Spec.Replicas
	}
	s := dep.Status
	done := s.ObservedGeneration >= dep.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
	return done, fmt.Sprintf("%d of %d pods are up to date, %d available", s.UpdatedReplicas, want, s.AvailableReplicas), nil
}

// conditionTrue is whether an object's condition holds for its newest
// generation.
func conditionTrue(kind string) holds {
	return func(o *unstructured.Unstructured) (bool, string, error) {
		c, ok := conditionOf(o, kind)
		switch {
		case !ok:
			return false, "it has no condition " + kind, nil
		case c.ObservedGeneration != 0 && c.ObservedGeneration < o.GetGeneration():
			return false, kind + " is of an older generation", nil
		}
		return c.Status == metav1.ConditionTrue, fmt.Sprintf("%s=%s (%s) %s", kind, c.Status, c.Reason, c.Message), nil
	}
}

func conditionOf(o *unstructured.Unstructured, kind string) (metav1.Condition, bool) {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, raw := range list {
		m, ok := raw.(map[string]any)
		if !ok || m["type"] != kind {
			continue
		}
		var c metav1.Condition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &c); err == nil {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

// explain says of a namespace what keeps its pods from running, for an error
// that would otherwise only say that time was up.
func (d *demo) explain(ctx context.Context, namespace string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	pods, err := d.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, p := range pods.Items {
		for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
			switch {
			case s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing":
				d.say.tellf("pod %s/%s: %s waits: %s %s", namespace, p.Name, s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
			case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
				d.say.tellf("pod %s/%s: %s ended with exit code %d", namespace, p.Name, s.Name, s.State.Terminated.ExitCode)
			}
		}
	}
	events, err := d.kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
	if err != nil {
		return
	}
	for _, e := range events.Items[max(0, len(events.Items)-5):] {
		d.say.tellf("event on %s %s: %s: %s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Reason, e.Message)
	}
}
