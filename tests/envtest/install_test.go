package envtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// version is what changes when an object does.
type version struct {
	ResourceVersion string
	Generation      int64
}

// versions looks at every object of a kustomization, by kind and name.
func (c *cluster) versions(t *testing.T, kustomization string, flags ...string) map[string]version {
	t.Helper()
	var list unstructured.UnstructuredList
	if err := json.Unmarshal([]byte(c.must(t, append(flags, "get", "-k", kustomization, "-o", "json")...)), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]version{}
	for _, o := range list.Items {
		out[o.GetKind()+" "+o.GetName()] = version{o.GetResourceVersion(), o.GetGeneration()}
	}
	return out
}

func TestInstallationIsAppliedWithoutAWarning(t *testing.T) {
	t.Parallel()
	c := installed(t)
	if c.complaints != "" {
		t.Errorf("the first apply complained:\n%s", c.complaints)
	}
	want := len(c.versions(t, installation))
	if got := strings.Count(c.applied, " serverside-applied\n"); got != want || want < 15 {
		t.Errorf("%d of %d objects were applied:\n%s", got, want, c.applied)
	}
}

func TestApplyingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	c := installed(t)
	before := c.versions(t, installation)
	c.must(t, "apply", "--server-side", "-k", installation)
	if diff := cmp.Diff(before, c.versions(t, installation)); diff != "" {
		t.Errorf("a second apply changed objects (-before +after):\n%s", diff)
	}
	// Exit status 1 is a difference.
	c.must(t, "diff", "--server-side", "-k", installation)
}

// Overlays hold a MeshConfig, so they are for a cluster that has the CRDs.
func TestOverlaysAreAcceptedWithoutAWarning(t *testing.T) {
	t.Parallel()
	c := installed(t)
	for _, overlay := range []string{"lab", "production"} {
		t.Run(overlay, func(t *testing.T) {
			t.Parallel()
			out := c.must(t, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", root+"/kustomize/overlays/"+overlay)
			if !strings.Contains(out, "meshconfig.heddle.dev/default serverside-applied") {
				t.Errorf("no MeshConfig was applied:\n%s", out)
			}
		})
	}
}

// A Deployment that breaks its namespace's rules is only warned about; its
// pods are refused.
func TestOperatorsPodsAreAdmitted(t *testing.T) {
	t.Parallel()
	c := installed(t)
	var said warnings
	asking := c.as(t, func(config *rest.Config) { config.WarningHandler = &said })
	var deployment appsv1.Deployment
	key := client.ObjectKey{Namespace: heddlev1alpha1.SystemNamespace, Name: heddlev1alpha1.OperatorName}
	if err := c.client.Get(t.Context(), key, &deployment); err != nil {
		t.Fatal(err)
	}
	pod := func() *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, GenerateName: key.Name + "-", Labels: deployment.Spec.Template.Labels},
			Spec:       *deployment.Spec.Template.Spec.DeepCopy(),
		}
	}
	admitted := pod()
	if err := asking.Create(t.Context(), admitted, client.DryRunAll); err != nil {
		t.Errorf("a pod of the operator is refused: %v", err)
	}
	if len(said.all()) > 0 {
		t.Errorf("warnings about a pod of the operator: %q", said.all())
	}
	if admitted.Spec.Priority == nil || *admitted.Spec.Priority < 1_000_000_000 {
		t.Errorf("priority %v is not a critical one", admitted.Spec.Priority)
	}
	careless := pod()
	careless.Spec.Containers[0].SecurityContext = nil
	if err := asking.Create(t.Context(), careless, client.DryRunAll); err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("the namespace takes a pod that isn't restricted: %v", err)
	}
}

func TestSamplesAreAcceptedStrictly(t *testing.T) {
	t.Parallel()
	c := installed(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}} // the samples' own
	c.create(t, namespace)
	out := c.must(t, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", namespace.Name, "-k", root+"/config/samples")
	for _, kind := range kinds {
		if !strings.Contains(out, kind.singular+".") {
			t.Errorf("no sample of %s was applied:\n%s", kind.kind, out)
		}
	}
}

// Objects of older versions can be applied, and again without a change,
// through the operator's conversion.
func testOlderVersions(t *testing.T, o *operator) {
	o.reached(t)
	const samples = root + "/config/samples/older"
	namespace := o.namespace(t, nil)
	o.must(t, "apply", "--server-side", "--validate=strict", "-n", namespace, "-k", samples)
	// The operator writes status meanwhile, until it has told of everything.
	await(t, "a second apply changes nothing", func(context.Context) error {
		before := o.versions(t, samples, "-n", namespace)
		o.must(t, "apply", "--server-side", "--validate=strict", "-n", namespace, "-k", samples)
		if diff := cmp.Diff(before, o.versions(t, samples, "-n", namespace)); diff != "" {
			return fmt.Errorf("(-before +after)\n%s", diff)
		}
		return nil
	})
}
