package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// releaseDeadline is how long a release of the demo may take at most.
const releaseDeadline = 6 * time.Minute

var checkout = ref{canaries, shop, "checkout"}

func (d *demo) showCanary(ctx context.Context) error {
	d.say.step("A Canary watches over the Deployment checkout")
	err := d.knows(canaries)
	if err == nil {
		// Nothing can be judged without numbers.
		err = d.await(ctx, ref{deployments, system, "prometheus"}, 30*time.Second, "rolled out", rolledOut)
	}
	if err != nil {
		// The rest can still be shown; up fails at its end.
		d.say.tellf("left out: %v", err)
		d.missing = append(d.missing, "releases")
		return nil
	}
	if err := d.apply(ctx, "canary.yaml"); err != nil {
		return err
	}
	if err := d.await(ctx, checkout, 3*time.Minute, "ready for releases", inPhase("", "Idle", "Succeeded")); err != nil {
		d.explain(ctx, shop)
		return err
	}
	d.say.tellf("checkout now runs as checkout-primary; the Deployment checkout is for candidates")

	if err := d.release(ctx, "A good release: checkout v2", "v2", 0, "Succeeded"); err != nil {
		return err
	}
	return d.release(ctx, "A bad release: checkout v3 answers 20 % of its requests with 500", "v3", 0.2, "Failed")
}

// release changes the Deployment as any user would, prints the canary's
// transitions and waits for the end that is expected.
func (d *demo) release(ctx context.Context, title, version string, errorRate float64, want string) error {
	d.say.step(title)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := d.objects.Resource(canaries).Namespace(shop).Get(ctx, checkout.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("look at the canary: %w", err)
	}
	env := []map[string]string{
		{"name": "NAME", "value": "checkout"},
		{"name": "VERSION", "value": version},
		{"name": "ERROR_RATE", "value": fmt.Sprint(errorRate)},
	}
	containers := []map[string]any{{"name": "shop", "env": env}}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}})
	if err != nil {
		return fmt.Errorf("release %s: %w", version, err)
	}
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if _, err := d.kube.AppsV1().Deployments(shop).Patch(ctx, "checkout", types.StrategicMergePatchType, patch, options); err != nil {
		return fmt.Errorf("release %s: %w", version, err)
	}

	d.say.tellf("$ heddle canary get checkout -n shop -w")
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		// It ends when it is stopped, which is no error to speak of.
		_ = d.display(ctx, d.cli, "canary", "get", "checkout", "-n", shop, "-w")
	}()
	err = d.await(ctx, checkout, releaseDeadline, "in phase "+want, inPhase(revisionOf(before), want))
	// Let the last line be printed before its printer is stopped.
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
	cancel()
	<-followed
	if err != nil {
		d.explain(context.WithoutCancel(ctx), shop)
	}
	return err
}

// revisionOf is what the canary last decided about.
func revisionOf(o *unstructured.Unstructured) string {
	s, _, _ := unstructured.NestedString(o.Object, "status", "revision")
	return s
}

// inPhase is whether a canary is in one of the phases, with another revision
// than the one named.
func inPhase(notRevision string, phases ...string) holds {
	return func(o *unstructured.Unstructured) (bool, string, error) {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		message, _, _ := unstructured.NestedString(o.Object, "status", "message")
		instead := fmt.Sprintf("phase %q %s", phase, message)
		if notRevision != "" && revisionOf(o) == notRevision {
			return false, instead + " of the revision before", nil
		}
		for _, p := range phases {
			if phase == p {
				return true, instead, nil
			}
		}
		return false, instead, nil
	}
}
