package envtest_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// strictly is what `kubectl apply --validate=strict` asks for; nothing is
// stored.
var strictly = &client.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}

// Every refusal names the field at fault, in a form that programs can read and
// in the text that people see.
func TestBadObjectsAreRefusedByTheirField(t *testing.T) {
	t.Parallel()
	c := installed(t)
	for of, cases := range map[string]map[string]struct{ spec, field string }{
		"TrafficSplit": {
			"a negative weight":           {`{service: a, backends: [{service: b, weight: 1}, {service: c, weight: -1}]}`, "spec.backends[1].weight"},
			"a fraction as weight":        {`{service: a, backends: [{service: b, weight: 0.5}]}`, "spec.backends[0].weight"},
			"an empty root":               {`{service: "", backends: []}`, "spec.service"},
			"an empty backend":            {`{service: a, backends: [{service: "", weight: 1}]}`, "spec.backends[0].service"},
			"a misspelt field":            {`{service: a, backends: [{service: b, wieght: 1}]}`, "spec.backends[0].wieght"},
			"matches of another kind":     {`{service: a, backends: [], matches: [{kind: TCPRoute, name: b}]}`, "spec.matches[0].kind"},
			"too many backends":           {`{service: a, backends: [` + strings.Repeat("{service: b}, ", 4097) + `]}`, "spec.backends"},
			"the backend of an older SMI": {`{service: a, backends: [{service: b, weight: 500m}]}`, "spec.backends[0].weight"},
		},
		"TrafficTarget": {
			"an empty destination":       {`{destination: {kind: ServiceAccount, name: ""}, sources: [], rules: []}`, "spec.destination.name"},
			"an empty source":            {`{destination: {kind: ServiceAccount, name: a}, sources: [{kind: ServiceAccount, name: ""}], rules: []}`, "spec.sources[0].name"},
			"a rule of an unknown kind":  {`{destination: {kind: ServiceAccount, name: a}, sources: [], rules: [{kind: GRPCRoute, name: b}]}`, "spec.rules[0].kind"},
			"an empty match":             {`{destination: {kind: ServiceAccount, name: a}, sources: [], rules: [{kind: HTTPRouteGroup, name: b, matches: [c, ""]}]}`, "spec.rules[0].matches[1]"},
			"a field of an older SMI":    {`{destination: {kind: ServiceAccount, name: a, port: 80}, sources: [], rules: []}`, "spec.destination.port"},
			"no destination":             {`{sources: [], rules: []}`, "spec.destination"},
			"a namespace that is a list": {`{destination: {kind: ServiceAccount, name: a, namespace: [b]}, sources: [], rules: []}`, "spec.destination.namespace"},
		},
		"HTTPRouteGroup": {
			"an unknown method":      {`{matches: [{name: m, methods: [GET, FETCH]}]}`, "spec.matches[0].methods[1]"},
			"a method in lower case": {`{matches: [{name: m, methods: [get]}]}`, "spec.matches[0].methods[0]"},
			"too long a path":        {`{matches: [{name: m, pathRegex: ` + strings.Repeat("a", 1025) + `}]}`, "spec.matches[0].pathRegex"},
			"a path that is a list":  {`{matches: [{name: m, pathRegex: [/a]}]}`, "spec.matches[0].pathRegex"},
			"an empty name":          {`{matches: [{name: a}, {name: ""}]}`, "spec.matches[1].name"},
			"a misspelt field":       {`{matches: [{name: m, pathregex: /a}]}`, "spec.matches[0].pathregex"},
			"a name twice":           {`{matches: [{name: a, pathRegex: /a}, {name: a, pathRegex: /b}]}`, "spec.matches"},
		},
		"TCPRoute": {
			"port 0":                  {`{matches: {ports: [80, 0]}}`, "spec.matches.ports[1]"},
			"a port above 65535":      {`{matches: {ports: [65536]}}`, "spec.matches.ports[0]"},
			"a port by name":          {`{matches: {ports: [http]}}`, "spec.matches.ports[0]"},
			"a list of matches":       {`{matches: [{ports: [80]}]}`, "spec.matches[0].ports"},
			"a misspelt field":        {`{matches: {ports: [], port: 80}}`, "spec.matches.port"},
			"a name that is a number": {`{matches: {ports: [], name: 1}}`, "spec.matches.name"},
		},
		"UDPRoute": {
			"port 0":           {`{matches: {ports: [0]}}`, "spec.matches.ports[0]"},
			"no ports":         {`{matches: {}}`, "spec.matches.ports"},
			"a misspelt field": {`{matches: {ports: []}, match: {}}`, "spec.match"},
		},
		"MeshConfig": {
			"an unknown mode":         {`{mtls: {mode: STRICT}}`, "spec.mtls.mode"},
			"an unknown default":      {`{access: {default: Open}}`, "spec.access.default"},
			"a trust domain as a URL": {`{trustDomain: "spiffe://a"}`, "spec.trustDomain"},
			"an empty trust domain":   {`{trustDomain: ""}`, "spec.trustDomain"},
			"a misspelt field":        {`{mtls: {Mode: Strict}}`, "spec.mtls.Mode"},
		},
		"Canary": {
			"an interval without a unit": {`{targetRef: {name: a}, service: {port: 80}, analysis: {interval: "60"}}`, "spec.analysis.interval"},
			"an interval in words":       {`{targetRef: {name: a}, service: {port: 80}, analysis: {interval: soon}}`, "spec.analysis.interval"},
			"an interval as a number":    {`{targetRef: {name: a}, service: {port: 80}, analysis: {interval: 60}}`, "spec.analysis.interval"},
			"too short an interval":      {`{targetRef: {name: a}, service: {port: 80}, analysis: {interval: 999ms}}`, "spec.analysis.interval"},
			"too long an interval":       {`{targetRef: {name: a}, service: {port: 80}, analysis: {interval: 61m}}`, "spec.analysis.interval"},
			"no latency at all":          {`{targetRef: {name: a}, service: {port: 80}, analysis: {latency: 0s}}`, "spec.analysis.latency"},
			"steps that fall":            {`{targetRef: {name: a}, service: {port: 80}, analysis: {stepWeights: [10, 50, 20]}}`, "spec.analysis.stepWeights"},
			"a step of 0":                {`{targetRef: {name: a}, service: {port: 80}, analysis: {stepWeights: [0, 50]}}`, "spec.analysis.stepWeights[0]"},
			"no step":                    {`{targetRef: {name: a}, service: {port: 80}, analysis: {stepWeights: []}}`, "spec.analysis.stepWeights"},
			"too short a deadline":       {`{targetRef: {name: a}, service: {port: 80}, progressDeadlineSeconds: 9}`, "spec.progressDeadlineSeconds"},
			"an empty target":            {`{targetRef: {name: ""}, service: {port: 80}}`, "spec.targetRef.name"},
			"another API of the target":  {`{targetRef: {apiVersion: apps/v1beta1, name: a}, service: {port: 80}}`, "spec.targetRef.apiVersion"},
			"a Service named as a host":  {`{targetRef: {name: a}, service: {name: a.b, port: 80}}`, "spec.service.name"},
			"a target with a dot":        {`{targetRef: {name: a.b}, service: {port: 80}}`, "spec.service.name"},
			"a field of Flagger's":       {`{targetRef: {name: a}, service: {port: 80}, analysis: {stepWeight: 10}}`, "spec.analysis.stepWeight"},
		},
	} {
		k := kindNamed(of)
		for name, tc := range cases {
			t.Run(of+"/"+name, func(t *testing.T) {
				t.Parallel()
				err := c.client.Create(t.Context(), k.object(t, "default", "bad", tc.spec), strictly)
				wantRefused(t, err, tc.field)
			})
		}
		t.Run(of+"/no name", func(t *testing.T) {
			t.Parallel()
			o := k.object(t, "default", "", k.spec)
			o.SetName("")
			wantRefused(t, c.client.Create(t.Context(), o, strictly), "metadata.name")
		})
		t.Run(of+"/a good one", func(t *testing.T) {
			t.Parallel()
			for _, spec := range []string{k.spec, k.changed} {
				if err := c.client.Create(t.Context(), k.object(t, "default", "good", spec), strictly); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The name is judged by a rule over the whole object, which has no field.
func TestSecondMeshConfigIsRefused(t *testing.T) {
	t.Parallel()
	c := installed(t)
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "heddle.dev/v1alpha1", "kind": "MeshConfig", "metadata": map[string]any{"name": "other"}}}
	err := c.client.Create(t.Context(), o, strictly)
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "a MeshConfig must be named default") {
		t.Errorf("error %v", err)
	}
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

func wantRefused(t *testing.T, err error, field string) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("not refused: %v", err)
	}
	if code := status.Status().Code; code != 400 && code != 422 {
		t.Fatalf("refused with status %d: %v", code, err)
	}
	var fields []string
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			// Rules of the whole object are then not run, which is told too.
			if cause.Field != "<nil>" {
				fields = append(fields, cause.Field)
			}
		}
	}
	// What strict decoding finds has no causes.
	for _, match := range unknownField.FindAllStringSubmatch(err.Error(), -1) {
		fields = append(fields, match[1])
	}
	if !slices.Contains(fields, field) || !strings.Contains(err.Error(), field) {
		t.Errorf("it is about %s:\n%v", strings.Join(fields, ", "), fmt.Errorf("want one about %s: %w", field, err))
	}
	if len(fields) != 1 {
		t.Errorf("several fields are blamed: %s", strings.Join(fields, ", "))
	}
}
