package conversion_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/crds/smi/convert"
)

// versioned are the kinds that have several versions.
var versioned = map[string]struct {
	group, resource string
	versions        int
}{
	"TrafficSplit":   {"split.smi-spec.io", "trafficsplits", 4},
	"TrafficTarget":  {"access.smi-spec.io", "traffictargets", 3},
	"HTTPRouteGroup": {"specs.smi-spec.io", "httproutegroups", 4},
	"TCPRoute":       {"specs.smi-spec.io", "tcproutes", 4},
}

func versionName(n int) string { return fmt.Sprintf("v1alpha%d", n) }

// of returns the API of a kind in one version.
func (c *cluster) of(kind, version string) dynamic.ResourceInterface {
	k := versioned[kind]
	return c.dynamic.Resource(schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource}).Namespace("shop")
}

// samples reads what config/samples has of the kinds with several versions, in
// all of them; the names are changed so that tests don't meet.
func samples(t *testing.T, suffix string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, folder := range []string{"", "older"} {
		files, err := filepath.Glob(filepath.Join(root, "config", "samples", folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for document := range strings.SplitSeq(string(content), "\n---\n") {
				raw, err := yaml.YAMLToJSON([]byte(document))
				if err != nil {
					t.Fatal(err)
				}
				o := &unstructured.Unstructured{}
				if err := o.UnmarshalJSON(raw); err != nil {
					t.Fatal(err)
				}
				if _, ok := versioned[o.GetKind()]; ok {
					o.SetName(o.GetName() + suffix)
					out = append(out, o)
				}
			}
		}
	}
	if len(out) < 15 {
		t.Fatalf("found %d samples", len(out))
	}
	return out
}

// content is what a user wrote of an object.
func content(o *unstructured.Unstructured) map[string]any {
	out := map[string]any{"annotations": o.GetAnnotations()}
	for field, value := range o.Object {
		if field != "metadata" {
			out[field] = value
		}
	}
	return out
}

// Every object is written, read, listed and written back unchanged in every
// version, and what its author reads stays what its author wrote.
func TestEveryVersionOfEverySample(t *testing.T) {
	t.Parallel()
	c := running(t)
	for _, sample := range samples(t, "-all") {
		kind, written := sample.GetKind(), sample.GroupVersionKind().Version
		t.Run(kind+" "+sample.GetName(), func(t *testing.T) {
			t.Parallel()
			own := c.of(kind, written)
			created, err := own.Create(t.Context(), sample, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(content(sample), content(created)); diff != "" {
				t.Errorf("created (-want +got):\n%s", diff)
			}
			for n := range versioned[kind].versions {
				version := versionName(n + 1)
				seen, err := c.of(kind, version).Get(t.Context(), sample.GetName(), metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				want, err := convert.Convert(created.Object, versioned[kind].group+"/"+version)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(content(&unstructured.Unstructured{Object: want}), content(seen)); diff != "" {
					t.Errorf("as %s (-want +got):\n%s", version, diff)
				}
				if _, err := c.of(kind, version).Update(t.Context(), seen, metav1.UpdateOptions{}); err != nil {
					t.Errorf("written back as %s: %v", version, err)
				}
				if _, err := c.of(kind, version).List(t.Context(), metav1.ListOptions{}); err != nil {
					t.Errorf("listed as %s: %v", version, err)
				}
				back, err := own.Get(t.Context(), sample.GetName(), metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(content(sample), content(back)); diff != "" {
					t.Errorf("read again after %s (-want +got):\n%s", version, diff)
				}
				if back.GetGeneration() != created.GetGeneration() {
					t.Errorf("generation %d after nothing was changed in %s", back.GetGeneration(), version)
				}
			}
		})
	}
}

// A status written in the newest version is there in all of them, and the
// columns show it.
func TestStatusAndColumnsOfEveryVersion(t *testing.T) {
	t.Parallel()
	c := running(t)
	for _, sample := range samples(t, "-status") {
		kind := sample.GetKind()
		if _, err := c.of(kind, sample.GroupVersionKind().Version).Create(t.Context(), sample, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		newest := c.of(kind, versionName(versioned[kind].versions))
		o, err := newest.Get(t.Context(), sample.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o.Object["status"] = map[string]any{"observedGeneration": int64(1), "conditions": []any{map[string]any{
			"type": "Accepted", "status": "False", "reason": "x", "message": "y", "lastTransitionTime": "2026-01-01T00:00:00Z",
		}}}
		want := o.Object["status"]
		if _, err := newest.UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		for n := range versioned[kind].versions {
			version := versionName(n + 1)
			seen, err := c.of(kind, version).Get(t.Context(), sample.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, seen.Object["status"]); diff != "" {
				t.Errorf("%s as %s: status (-want +got):\n%s", sample.GetName(), version, diff)
			}
			k := versioned[kind]
			table, err := c.run(t.Context(), "", "get", "-n", "shop", k.resource+"."+version+"."+k.group, sample.GetName())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(table, "ACCEPTED") || !strings.Contains(table, "False") || !strings.Contains(table, "AGE") {
				t.Errorf("%s as %s:\n%s", sample.GetName(), version, table)
			}
		}
	}
}

// Two tools apply one split in two versions: each owns what it applied, and
// neither meets the other's annotations.
func TestApplyInTwoVersions(t *testing.T) {
	t.Parallel()
	c := running(t)
	split := func(version, weight string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "split.smi-spec.io/" + version, "kind": "TrafficSplit",
			"metadata": map[string]any{"name": "applied", "namespace": "shop"},
			"spec":     map[string]any{"service": "cart", "backends": []any{map[string]any{"service": "a", "weight": weight}, map[string]any{"service": "b", "weight": "1"}}},
		}}
	}
	first := split("v1alpha1", "500m")
	old := c.of("TrafficSplit", "v1alpha1")
	for range 2 {
		if _, err := old.Apply(t.Context(), "applied", first, metav1.ApplyOptions{FieldManager: "old"}); err != nil {
			t.Fatal(err)
		}
	}
	second := split("v1alpha4", "")
	second.Object["spec"].(map[string]any)["backends"] = []any{map[string]any{"service": "a", "weight": int64(700)}, map[string]any{"service": "b", "weight": int64(300)}}
	newest := c.of("TrafficSplit", "v1alpha4")
	if _, err := newest.Apply(t.Context(), "applied", second, metav1.ApplyOptions{FieldManager: "new"}); err == nil {
		t.Error("what another tool applied was taken without force")
	}
	got, err := newest.Apply(t.Context(), "applied", second, metav1.ApplyOptions{FieldManager: "new", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second.Object["spec"], got.Object["spec"]); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	seen, err := old.Get(t.Context(), "applied", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second.Object["spec"], seen.Object["spec"]); diff != "" || len(seen.GetAnnotations()) > 0 {
		t.Errorf("annotations %v; what the first sees of the edit (-want +got):\n%s", seen.GetAnnotations(), diff)
	}
}

// Whoever takes the CA bundle away gets it back. This runs before the tests in
// parallel, which need it.
func TestBundleIsWrittenAgain(t *testing.T) {
	c := running(t)
	for _, name := range convert.Definitions() {
		definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
		patch := []byte(`{"metadata":{"annotations":{"touched":"1"}},"spec":{"conversion":{"webhook":{"clientConfig":{"caBundle":null}}}}}`)
		if err := c.client.Patch(t.Context(), definition, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.awaitBundle(t.Context()); err != nil {
		t.Errorf("the CA bundle is not written again: %v", err)
	}
}

func TestNegativeWeightsAreRefused(t *testing.T) {
	t.Parallel()
	c := running(t)
	for version, weight := range map[string]any{"v1alpha1": int64(-1), "v1alpha2": int64(-1), "v1alpha3": int64(-1), "v1alpha4": int64(-1)} {
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "split.smi-spec.io/" + version, "kind": "TrafficSplit", "metadata": map[string]any{"name": "negative", "namespace": "shop"},
			"spec": map[string]any{"service": "cart", "backends": []any{map[string]any{"service": "a", "weight": weight}}},
		}}
		_, err := c.of("TrafficSplit", version).Create(t.Context(), o, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.backends[0].weight") {
			t.Errorf("%s: %v", version, err)
		}
	}
}
