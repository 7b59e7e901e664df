package conversion_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/crds/smi/convert"
)

// Of all definitions the operator may touch those that it converts. That this
// is enough shows every other test here.
func TestRightsToDefinitions(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "config", "rbac", "operator_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict(content, &role); err != nil {
		t.Fatal(err)
	}
	var got []rbacv1.PolicyRule
	for _, rule := range role.Rules {
		if slices.Contains(rule.Resources, "customresourcedefinitions") {
			got = append(got, rule)
		}
	}
	want := []rbacv1.PolicyRule{{
		APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"},
		ResourceNames: convert.Definitions(), Verbs: []string{"get", "list", "patch", "watch"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules about definitions (-want +got):\n%s", diff)
	}
}
