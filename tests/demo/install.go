package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

const system = heddlev1alpha1.SystemNamespace

// install makes sure there is a cluster with Heddle on it.
func (d *demo) install(ctx context.Context) error {
	if err := d.cluster(ctx); err != nil {
		return err
	}
	dir, err := d.overlay()
	if err != nil {
		return err
	}
	d.say.step("Heddle: kubectl apply --server-side -k " + dir)
	// A type and the first object of it can be in one apply only when the
	// type is established in time; kubectl then says which were not, and a
	// second apply completes it.
	apply := []string{d.kubectl, "apply", "--server-side", "--force-conflicts", "-k", dir}
	if err := d.display(ctx, apply...); err != nil {
		if err := d.awaitTypes(ctx); err != nil {
			return err
		}
		if err := d.display(ctx, apply...); err != nil {
			return err
		}
	}
	operator := ref{deployments, system, heddlev1alpha1.OperatorName}
	if err := d.await(ctx, operator, 3*time.Minute, "rolled out", rolledOut); err != nil {
		d.explain(ctx, system)
		return err
	}
	d.say.tellf("the operator is ready")
	return d.buildCLI(ctx)
}

func (d *demo) awaitTypes(ctx context.Context) error {
	return d.display(ctx, d.kubectl, "wait", "--for=condition=Established", "--timeout=60s", "crd/meshconfigs.heddle.dev", "crd/canaries.heddle.dev")
}

// buildCLI makes the heddle program that the demo and the user look with.
func (d *demo) buildCLI(ctx context.Context) error {
	d.cli = filepath.Join("bin", "heddle")
	if err := os.MkdirAll("bin", 0o755); err != nil {
		return fmt.Errorf("build heddle: %w", err)
	}
	return d.display(ctx, "go", "build", "-o", d.cli, "./cmd/heddle")
}

// down removes the shop and Heddle; the cluster stays.
func (d *demo) down(ctx context.Context) error {
	if err := d.find(ctx); err != nil {
		return err
	}
	d.say.step("Removing the shop")
	err := d.kube.CoreV1().Namespaces().Delete(ctx, shop, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the shop: %w", err)
	}
	if err := d.display(ctx, d.kubectl, "wait", "--for=delete", "--timeout=120s", "namespace/"+shop); err != nil {
		return err
	}
	dir, err := d.overlay()
	if err != nil {
		return err
	}
	d.say.step("Removing Heddle: kubectl delete -k " + dir)
	if err := d.display(ctx, d.kubectl, "delete", "--ignore-not-found", "--timeout=120s", "-k", dir); err != nil {
		return err
	}
	d.say.step("Done")
	if d.ours {
		d.say.tellf("The lab is still up: make lab-down stops it.")
	}
	return nil
}

// openShop starts the apps and waits until they run with their sidecars.
func (d *demo) openShop(ctx context.Context) error {
	d.say.step("A shop: meshed apps with steady traffic from frontend to checkout")
	// What an earlier run left would be measured along.
	for _, file := range []string{"canary.yaml", "access.yaml", "split.yaml"} {
		if err := d.remove(ctx, file); err != nil {
			return err
		}
	}
	if err := d.apply(ctx, "shop.yaml"); err != nil {
		return err
	}
	for _, name := range []string{"cart-v1", "cart-v2", "checkout", "stranger", "frontend"} {
		if err := d.await(ctx, ref{deployments, shop, name}, 3*time.Minute, "rolled out", rolledOut); err != nil {
			d.explain(ctx, shop)
			return err
		}
	}
	pods, err := d.kube.CoreV1().Pods(shop).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("look at the shop: %w", err)
	}
	meshed := 0
	for _, p := range pods.Items {
		if p.Annotations[heddlev1alpha1.AnnotationInjected] == "true" {
			meshed++
		}
	}
	d.say.tellf("%d of %d pods have a sidecar", meshed, len(pods.Items))
	if meshed != len(pods.Items) {
		return errors.New("some pods of the shop have no sidecar: heddle check says why")
	}
	// What frontend asked before there was a checkout says nothing of the mesh.
	if d.opened, err = d.loadStats(ctx); err != nil {
		return err
	}
	d.say.tellf("")
	d.say.tellf("$ heddle proxy status -n shop")
	return d.display(ctx, d.cli, "proxy", "status", "-n", shop)
}

// accepted awaits what the operator says of an object it understood.
func (d *demo) accepted(ctx context.Context, r ref) error {
	return d.await(ctx, r, 30*time.Second, "accepted", conditionTrue(heddlev1alpha1.ConditionAccepted))
}

// programmed awaits that every sidecar concerned works by an object; where the
// operator does not say, that it accepted it must do.
func (d *demo) programmed(ctx context.Context, r ref) error {
	if err := d.accepted(ctx, r); err != nil {
		return err
	}
	return d.await(ctx, r, 30*time.Second, "in force", func(o *unstructured.Unstructured) (bool, string, error) {
		if _, says := conditionOf(o, heddlev1alpha1.ConditionProgrammed); !says {
			return true, "", nil
		}
		return conditionTrue(heddlev1alpha1.ConditionProgrammed)(o)
	})
}
