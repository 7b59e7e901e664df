// Package bases_test holds the generated CRDs to their word without a cluster:
// by the structural schema and the validator that the API server uses. Rules in
// CEL are only listed here; a real API server runs them.
package bases_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// resource is one version of a CRD, ready to judge objects.
type resource struct {
	crd        *apiextensionsv1.CustomResourceDefinition
	version    apiextensionsv1.CustomResourceDefinitionVersion
	structural *schema.Structural
	validator  *validate.SchemaValidator
}

// problems says what the API server would refuse about object, as
// "path: message"; sorted.
func (r resource) problems(object map[string]any) []string {
	var out []string
	for _, err := range r.validator.Validate(object).Errors {
		out = append(out, err.Error())
	}
	slices.Sort(out)
	return out
}

// unknownFields says what the API server would drop from object, and by
// default warn about.
func (r resource) unknownFields(object map[string]any) []string {
	return pruning.PruneWithOptions(object, r.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

func loadResources(t *testing.T) map[runtimeschema.GroupVersionKind]resource {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs found: %v", err)
	}
	out := map[runtimeschema.GroupVersionKind]resource{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, version := range crd.Spec.Versions {
			internal := &apiextensions.JSONSchemaProps{}
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, internal, nil); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			structural, err := schema.NewStructural(internal)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if errs := schema.ValidateStructural(nil, structural); len(errs) > 0 {
				t.Fatalf("%s is not structural: %v", file, errs.ToAggregate())
			}
			gvk := runtimeschema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
			out[gvk] = resource{
				crd:        crd,
				version:    version,
				structural: structural,
				validator:  validate.NewSchemaValidator(structural.ToKubeOpenAPI(), nil, "", strfmt.Default),
			}
		}
	}
	return out
}

func TestEveryKindIsListedForInstallation(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(content, &kustomization); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range want {
		want[i] = "bases/" + file
	}
	if diff := cmp.Diff(want, kustomization.Resources); diff != "" {
		t.Errorf("resources of crds/kustomization.yaml (-want +got):\n%s", diff)
	}
}

// onlyRead are kinds that nothing becomes of by themselves: who refers to one
// says whether it is of use.
var onlyRead = []string{"AlertProvider", "MetricTemplate"}

func TestEveryKindFollowsTheConventions(t *testing.T) {
	t.Parallel()
	for gvk, r := range loadResources(t) {
		t.Run(gvk.Kind+" "+gvk.Version, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(onlyRead, gvk.Kind) {
				if _, ok := r.structural.Properties["status"]; ok {
					t.Error("a status that nobody writes")
				}
			} else {
				hasStatus(t, r)
			}
			newest := r.crd.Spec.Versions[len(r.crd.Spec.Versions)-1].Name
			if !r.version.Served || r.version.Storage != (r.version.Name == newest) {
				t.Errorf("it must be served, and %s must be stored", newest)
			}
			if !slices.Contains(r.crd.Spec.Names.Categories, "mesh") {
				t.Errorf("categories %v lack mesh", r.crd.Spec.Names.Categories)
			}
			if len(r.crd.Spec.Names.ShortNames) == 0 {
				t.Error("there is no short name")
			}
			columns := r.version.AdditionalPrinterColumns
			if len(columns) == 0 || columns[len(columns)-1].JSONPath != ".metadata.creationTimestamp" {
				t.Error("the last printer column must be the age")
			}
			if gvk.Group == "heddle.dev" != slices.Contains(r.crd.Spec.Names.Categories, "heddle") {
				t.Errorf("categories %v: heddle is for kinds of heddle.dev", r.crd.Spec.Names.Categories)
			}
		})
	}
}

func hasStatus(t *testing.T, r resource) {
	t.Helper()
	if r.version.Subresources == nil || r.version.Subresources.Status == nil {
		t.Error("there is no status subresource")
	}
	conditions, ok := r.structural.Properties["status"].Properties["conditions"]
	if !ok || conditions.XListType == nil || *conditions.XListType != "map" || !slices.Equal(conditions.XListMapKeys, []string{"type"}) {
		t.Error("status.conditions must be a list map by type")
	}
	if _, ok := r.structural.Properties["status"].Properties["observedGeneration"]; !ok {
		t.Error("status.observedGeneration is missing")
	}
}

// Without a bound an object can be as large as the API server allows, and a
// rule in CEL is refused for what it might cost.
func TestEverySpecIsBounded(t *testing.T) {
	t.Parallel()
	for gvk, r := range loadResources(t) {
		t.Run(gvk.Kind+" "+gvk.Version, func(t *testing.T) {
			t.Parallel()
			for name, property := range r.structural.Properties {
				switch name {
				case "apiVersion", "kind", "metadata", "status":
				default: // the spec, or its fields where a version has none
					for _, problem := range unbounded(name, &property) {
						t.Error(problem)
					}
				}
			}
		})
	}
}

func unbounded(path string, s *schema.Structural) []string {
	var out []string
	limits := s.ValueValidation
	if limits == nil {
		limits = &schema.ValueValidation{}
	}
	switch s.Type {
	case "string":
		if limits.MaxLength == nil && len(limits.Enum) == 0 && limits.Format == "" && limits.Pattern == "" {
			out = append(out, path+" has no maxLength")
		}
	case "array":
		if limits.MaxItems == nil {
			out = append(out, path+" has no maxItems")
		}
		out = append(out, unbounded(path+"[*]", s.Items)...)
	case "object":
		if s.AdditionalProperties != nil && limits.MaxProperties == nil {
			out = append(out, path+" has no maxProperties")
		}
		for _, name := range slices.Sorted(mapKeys(s.Properties)) {
			property := s.Properties[name]
			out = append(out, unbounded(path+"."+name, &property)...)
		}
	}
	return out
}

func mapKeys(properties map[string]schema.Structural) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range properties {
			if !yield(name) {
				return
			}
		}
	}
}

// What is dropped silently is dropped nowhere but here.
func TestOnlyHeadersKeepUnknownFields(t *testing.T) {
	t.Parallel()
	var got []string
	for gvk, r := range loadResources(t) {
		got = append(got, preserving(gvk.Version+" "+gvk.Kind, r.structural)...)
	}
	slices.Sort(got)
	want := []string{
		"v1alpha2 HTTPRouteGroup.matches[*].headers",
		"v1alpha3 HTTPRouteGroup.spec.matches[*].headers",
		"v1alpha4 HTTPRouteGroup.spec.matches[*].headers",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields that keep what they don't know (-want +got):\n%s", diff)
	}
}

func preserving(path string, s *schema.Structural) []string {
	var out []string
	if s.XPreserveUnknownFields {
		out = append(out, path)
	}
	if s.Items != nil {
		out = append(out, preserving(path+"[*]", s.Items)...)
	}
	for name, property := range s.Properties {
		out = append(out, preserving(path+"."+name, &property)...)
	}
	return out
}

func TestCELRules(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for gvk, r := range loadResources(t) {
		for path, rules := range celRules(gvk.Kind, r.structural) {
			got[path] = rules
		}
	}
	name := got["MeshConfig"]
	if !slices.Equal(name, []string{"self.metadata.name == 'default'"}) {
		t.Errorf("the name of a MeshConfig is not fixed: %q", name)
	}
}

func celRules(path string, s *schema.Structural) map[string][]string {
	out := map[string][]string{}
	for _, rule := range s.XValidations {
		out[path] = append(out[path], rule.Rule)
	}
	if s.Items != nil {
		for p, rules := range celRules(path+"[*]", s.Items) {
			out[p] = rules
		}
	}
	for name, property := range s.Properties {
		for p, rules := range celRules(path+"."+name, &property) {
			out[p] = rules
		}
	}
	return out
}

// object decodes YAML, numbers as the API server sees them.
func object(t *testing.T, content string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := yaml.Unmarshal([]byte(content), &out, yaml.DisallowUnknownFields); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	return out
}

func kindOf(t *testing.T, content map[string]any) runtimeschema.GroupVersionKind {
	t.Helper()
	version, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	gv, err := runtimeschema.ParseGroupVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return gv.WithKind(kind)
}

// documents splits a file of several YAML documents.
func documents(content string) []string {
	var out []string
	for _, document := range strings.Split("\n"+content, "\n---\n") {
		if strings.TrimSpace(document) != "" {
			out = append(out, document)
		}
	}
	return out
}
