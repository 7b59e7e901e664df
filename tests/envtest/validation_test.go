package envtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// noExpression is a group that no schema refuses.
const noExpression = `{matches: [{name: m, pathRegex: (}]}`

// validates waits until the API server asks the operator, which is when the
// bundle by which it trusts it has come.
func (o *operator) validates(t *testing.T) {
	t.Helper()
	namespace := o.namespace(t, nil)
	await(t, "objects are judged", func(ctx context.Context) error {
		err := o.client.Create(ctx, kindNamed("HTTPRouteGroup").object(t, namespace, "bad", noExpression), client.DryRunAll)
		if !apierrors.IsInvalid(err) {
			return fmt.Errorf("it is let in: %w", errors.Join(err))
		}
		return nil
	})
}

// What no schema can see is refused by the field at fault, in every version,
// and what may be a mistake is warned of. What other objects may yet mend is let in.
func testValidation(t *testing.T, o *operator) {
	o.validates(t)
	namespace := o.namespace(t, nil)
	for name, tc := range map[string]struct{ object, field string }{
		"a split of a name that no Service has": {`{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, spec: {service: web.shop, backends: [{service: v1, weight: 1}]}}`, "spec.service"},
		"the same in v1alpha1":                  {`{apiVersion: split.smi-spec.io/v1alpha1, kind: TrafficSplit, spec: {service: web.shop, backends: [{service: v1, weight: 500m}]}}`, "spec.service"},
		"the same in v1alpha2":                  {`{apiVersion: split.smi-spec.io/v1alpha2, kind: TrafficSplit, spec: {service: web.shop, backends: [{service: v1, weight: 1}]}}`, "spec.service"},
		"a target of another kind":              {`{apiVersion: access.smi-spec.io/v1alpha3, kind: TrafficTarget, spec: {destination: {kind: Group, name: a}, sources: [], rules: []}}`, "spec.destination.kind"},
		"the same without a spec":               {`{apiVersion: access.smi-spec.io/v1alpha1, kind: TrafficTarget, destination: {kind: Group, name: a}, sources: [], specs: []}`, "spec.destination.kind"},
		"a path that is no expression":          {`{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, spec: {matches: [{name: a}, {name: b, pathRegex: "("}]}}`, "spec.matches[1].pathRegex"},
		"the same match in v1alpha3":            {`{apiVersion: specs.smi-spec.io/v1alpha3, kind: HTTPRouteGroup, spec: {matches: [{name: b, pathRegex: "("}]}}`, "spec.matches[0].pathRegex"},
		"the same match in v1alpha1":            {`{apiVersion: specs.smi-spec.io/v1alpha1, kind: HTTPRouteGroup, matches: [{name: b, pathRegex: "("}]}`, "spec.matches[0].pathRegex"},
		"headers that are none (O82)":           {`{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, spec: {matches: [{name: b, headers: oops}]}}`, "spec.matches[0].headers"},
		"a canary of a Service's name":          {`{apiVersion: heddle.dev/v1alpha1, kind: Canary, spec: {targetRef: {name: a}, service: {port: 80, portName: HTTP}}}`, "spec.service.portName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, o.client.Create(t.Context(), manifest(t, namespace, tc.object), strictly), tc.field)
		})
	}
	for name, tc := range map[string]struct {
		object string
		want   []string
	}{
		"what may come later": {object: `{apiVersion: split.smi-spec.io/v1alpha4, kind: TrafficSplit, spec: {service: nowhere, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: later}]}}`},
		"no weight": {
			object: `{apiVersion: split.smi-spec.io/v1alpha2, kind: TrafficSplit, spec: {service: web, backends: [{service: v1, weight: 0}]}}`,
			want:   []string{"spec.backends: every request of the split is answered with 503; give one Service a weight above 0"},
		},
		"a match of everything": {
			object: `{apiVersion: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, spec: {matches: [{name: all}]}}`,
			want:   []string{`spec.matches[0]: "all" holds for every request; limit its path, methods or headers unless that is meant`},
		},
		"UDP": {
			object: `{apiVersion: specs.smi-spec.io/v1alpha4, kind: UDPRoute, spec: {matches: {ports: [53]}}}`,
			want:   []string{"kind: UDP passes the mesh by, so the route has no effect; use a NetworkPolicy for UDP"},
		},
		"a mesh that is open": {
			object: `{apiVersion: heddle.dev/v1alpha1, kind: MeshConfig, spec: {access: {default: Allow}}}`,
			want:   []string{"spec.access.default: no TrafficTarget has an effect, and everybody is admitted; use AllowUnlessTargeted to have them closed by targets"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said warnings
			asking := o.as(t, func(config *rest.Config) { config.WarningHandler = &said })
			if err := asking.Create(t.Context(), manifest(t, namespace, tc.object), strictly); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, said.all()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("in words", func(t *testing.T) {
		t.Parallel()
		_, said, err := o.run(t.Context(), "apply", "--server-side", "--dry-run=server", "-n", namespace, "-f", "testdata/invalid.yaml")
		if err == nil || !strings.Contains(said, `spec.matches[0].pathRegex: missing closing ) in "/a("; write RE2`) {
			t.Errorf("kubectl says: %s", said)
		}
	})
}

// manifest is an object named default.
func manifest(t *testing.T, namespace, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetName("default")
	if o.GetKind() != "MeshConfig" {
		o.SetNamespace(namespace)
	}
	return o
}

// broken is an object from before there was an operator to refuse it.
type broken struct{ object *unstructured.Unstructured }

func (c *cluster) storeBroken(t *testing.T) broken {
	t.Helper()
	object := kindNamed("HTTPRouteGroup").object(t, c.namespace(t, nil), "old", noExpression)
	c.create(t, object)
	return broken{object}
}

// The operator tells of it, and everything else about it can be changed.
func (b broken) test(t *testing.T, o *operator) {
	o.validates(t)
	object := b.object
	read := func(ctx context.Context) error { return o.client.Get(ctx, client.ObjectKeyFromObject(object), object) }
	await(t, "it is judged", func(ctx context.Context) error {
		if err := read(ctx); err != nil {
			return err
		}
		for _, c := range conditionsOf(t, object) {
			if c.Type == heddlev1alpha1.ConditionAccepted && c.Status == metav1.ConditionFalse &&
				c.Reason == heddlev1alpha1.ReasonInvalidRegex && strings.HasPrefix(c.Message, `spec.matches[0].pathRegex: missing closing ) in "("; `) {
				return nil
			}
		}
		return fmt.Errorf("status %v", object.Object["status"])
	})
	if object.GetGeneration() != 1 {
		t.Errorf("generation %d: its spec was written", object.GetGeneration())
	}
	o.event(t, object.GetNamespace(), heddlev1alpha1.ReasonInvalidRegex)

	// The operator writes its status meanwhile.
	change := func(what string, change func()) error {
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			if err := read(t.Context()); err != nil {
				return err
			}
			change()
			return o.client.Update(t.Context(), object)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	spec := func(text string) func() { return func() { object.Object["spec"] = parse(t, text) } }
	for _, err := range []error{
		change("a label", func() { object.SetLabels(map[string]string{"a": "b"}) }),
		change("a finalizer", func() { controllerutil.AddFinalizer(object, "example.com/test") }),
		change("another match", spec(`{matches: [{name: new, pathRegex: /new}, {name: m, pathRegex: (}]}`)),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	err := change("another mistake", spec(`{matches: [{name: new, pathRegex: "["}, {name: m, pathRegex: (}]}`))
	wantRefused(t, errors.Unwrap(err), "spec.matches[0].pathRegex")
	if err := o.client.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if err := change("the finalizer goes", func() { controllerutil.RemoveFinalizer(object, "example.com/test") }); err != nil {
		t.Error(err)
	}
	await(t, "it is gone", func(ctx context.Context) error {
		if err := read(ctx); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there: %w", errors.Join(err))
		}
		return nil
	})
}

// Without an operator everything is let in, and at once.
func testNothingIsJudged(t *testing.T, c *cluster) {
	object := kindNamed("HTTPRouteGroup").object(t, c.namespace(t, nil), "bad", noExpression)
	began := time.Now()
	c.create(t, object)
	object.SetLabels(map[string]string{"a": "b"})
	if err := c.client.Update(t.Context(), object); err != nil {
		t.Error(err)
	}
	if err := c.client.Delete(t.Context(), object); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
