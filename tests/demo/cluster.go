package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// demo is one run. Its methods are called in order by one goroutine.
type demo struct {
	options
	say     *narrator
	kubectl string
	// cli is the path of the heddle program.
	cli string
	// ours is whether the cluster is the lab.
	ours bool

	// missing names what could not be shown.
	missing []string
	// opened is what frontend had seen when all pods of the shop were ready.
	opened tally

	config  *rest.Config
	kube    kubernetes.Interface
	objects dynamic.Interface
}

// cluster makes sure there is one, with Heddle's images within its reach.
func (d *demo) cluster(ctx context.Context) error {
	if d.isLab(ctx) {
		d.say.step("A Kubernetes cluster: the lab, one real node on this machine")
		if os.Geteuid() != 0 {
			return errors.New("the lab needs root; with a cluster of your own it is make demo KUBECONFIG=PATH IMG=PREFIX")
		}
		if err := d.display(ctx, "go", "run", "./tests/lab", "up"); err != nil {
			return err
		}
		path, err := d.output(ctx, "go", "run", "./tests/lab", "kubeconfig")
		if err != nil {
			return err
		}
		d.kubeconfig = lastLine(path)
		d.say.step("Images of Heddle and of the shop")
		if err := d.display(ctx, "go", "run", "./tests/lab", "images"); err != nil {
			return err
		}
	} else {
		d.say.step("A Kubernetes cluster: yours, " + d.kubeconfig)
		if d.images == "" {
			return errors.New("say where the cluster finds the images: make image IMG=registry/prefix, then make demo KUBECONFIG=... IMG=registry/prefix")
		}
	}
	return d.connect(ctx)
}

// isLab is whether the cluster is the lab: when the user names no other.
func (d *demo) isLab(ctx context.Context) bool {
	d.ours = d.kubeconfig == ""
	if !d.ours {
		path, err := d.output(ctx, "go", "run", "./tests/lab", "kubeconfig")
		d.ours = err == nil && lastLine(path) == d.kubeconfig
	}
	return d.ours
}

// find connects to a cluster that is there already.
func (d *demo) find(ctx context.Context) error {
	d.say.step("Looking for the cluster")
	if d.isLab(ctx) {
		path, err := d.output(ctx, "go", "run", "./tests/lab", "kubeconfig")
		if err != nil {
			return err
		}
		d.kubeconfig = lastLine(path)
	}
	return d.connect(ctx)
}

// connect makes the clients; it needs no more than a kubeconfig.
func (d *demo) connect(ctx context.Context) error {
	var err error
	if d.config, err = clientcmd.BuildConfigFromFlags("", d.kubeconfig); err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	d.config.QPS, d.config.Burst = 100, 200
	if d.kube, err = kubernetes.NewForConfig(d.config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if d.objects, err = dynamic.NewForConfig(d.config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	info, err := d.kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	d.say.tellf("Kubernetes %s answers", info.GitVersion)
	return d.findKubectl(ctx)
}

// knows is nil when the cluster serves a resource.
func (d *demo) knows(resource schema.GroupVersionResource) error {
	list, err := d.kube.Discovery().ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if err != nil {
		return fmt.Errorf("look for %s: %w", resource.Resource, err)
	}
	for _, r := range list.APIResources {
		if r.Name == resource.Resource {
			return nil
		}
	}
	return fmt.Errorf("the cluster has no type %s.%s", resource.Resource, resource.Group)
}

// overlay is the directory to apply: the lab's, or one made from it that takes
// the images from the user's registry.
func (d *demo) overlay() (string, error) {
	const lab = "kustomize/overlays/lab"
	if d.ours || d.images == "" {
		return lab, nil
	}
	type image struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
	}
	var images []image
	for _, name := range []string{"heddle-operator", "heddle-init", "envoy", "prometheus"} {
		images = append(images, image{Name: "lab.local/" + name, NewName: d.images + "/" + name})
	}
	kustomization := map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources":      []string{"../../" + lab},
		"configurations": []string{"image-fields.yaml"},
		"images":         images,
	}
	raw, err := yaml.Marshal(kustomization)
	if err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	fields, err := os.ReadFile(filepath.Join(lab, "image-fields.yaml"))
	if err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	dir := filepath.Join("dist", "demo")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	return dir, errors.Join(
		os.WriteFile(filepath.Join(dir, "kustomization.yaml"), raw, 0o644),
		os.WriteFile(filepath.Join(dir, "image-fields.yaml"), fields, 0o644),
	)
}
