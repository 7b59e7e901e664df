package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// fieldManager is who applies the demo's objects.
const fieldManager = "heddle-demo"

// plurals are the resources of the kinds in the manifests.
var plurals = map[string]string{
	"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "Service": "services",
	"Deployment": "deployments", "TrafficSplit": "trafficsplits", "TrafficTarget": "traffictargets",
	"HTTPRouteGroup": "httproutegroups", "Canary": "canaries",
}

// readManifests decodes an embedded file, with the images taken from the
// registry prefix when there is one.
func readManifests(file, images string) ([]*unstructured.Unstructured, error) {
	raw, err := manifests.ReadFile("manifests/" + file)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	var out []*unstructured.Unstructured
	dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := dec.Decode(&o.Object); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if len(o.Object) == 0 {
			continue
		}
		if images != "" {
			if err := retarget(o, images); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
		}
		out = append(out, o)
	}
}

// retarget changes the registry of a Deployment's images.
func retarget(o *unstructured.Unstructured, images string) error {
	containers, found, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil || !found {
		return err
	}
	for _, c := range containers {
		m, ok := c.(map[string]any)
		if !ok {
			continue
		}
		if image, ok := m["image"].(string); ok {
			m["image"] = images + image[strings.LastIndex(image, "/"):]
		}
	}
	return unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
}

// apply applies every object of a file server-side.
func (d *demo) apply(ctx context.Context, file string) error {
	objects, err := readManifests(file, d.images)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := d.applyOne(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) applyOne(ctx context.Context, o *unstructured.Unstructured) error {
	gvr, err := resourceOf(o)
	if err != nil {
		return err
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	if _, err := d.objects.Resource(gvr).Namespace(o.GetNamespace()).Apply(ctx, o.GetName(), o, options); err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// remove deletes every object of a file; one that isn't there is fine.
func (d *demo) remove(ctx context.Context, file string) error {
	objects, err := readManifests(file, "")
	if err != nil {
		return err
	}
	for _, o := range objects {
		gvr, err := resourceOf(o)
		if err != nil {
			return err
		}
		err = d.objects.Resource(gvr).Namespace(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func resourceOf(o *unstructured.Unstructured) (schema.GroupVersionResource, error) {
	plural, ok := plurals[o.GetKind()]
	if !ok {
		return schema.GroupVersionResource{}, fmt.Errorf("no resource is known for kind %q", o.GetKind())
	}
	return o.GroupVersionKind().GroupVersion().WithResource(plural), nil
}
