package bases_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/heddle-mesh/heddle/crds/smi/convert"
)

// Every version of a kind looks alike in lists, and the kinds with more than
// one are those that can be converted, between all that are served.
func TestVersions(t *testing.T) {
	t.Parallel()
	several := map[string]bool{}
	served := map[string][]string{}
	for gvk, r := range loadResources(t) {
		served[gvk.Kind] = append(served[gvk.Kind], gvk.Version)
		if len(r.crd.Spec.Versions) == 1 {
			continue
		}
		several[r.crd.Name] = true
		for _, other := range r.crd.Spec.Versions {
			object := map[string]any{"apiVersion": gvk.Group + "/" + gvk.Version, "kind": gvk.Kind, "metadata": map[string]any{"name": "x"}}
			if _, err := convert.Convert(object, gvk.Group+"/"+other.Name); err != nil {
				t.Errorf("%s to %s: %v", gvk, other.Name, err)
			}
		}
	}
	definitions := convert.Definitions()
	for name := range several {
		if !slices.Contains(definitions, name) {
			t.Errorf("nothing converts the versions of %s", name)
		}
	}
	if len(definitions) != len(several) {
		t.Errorf("definitions with several versions %v, converted are %v", several, definitions)
	}
	for _, versions := range served {
		slices.Sort(versions)
	}
	v := func(n int) []string { return []string{"v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"}[:n] }
	want := map[string][]string{
		"TrafficSplit": v(4), "TrafficTarget": v(3), "HTTPRouteGroup": v(4), "TCPRoute": v(4), "UDPRoute": {"v1alpha4"},
		"MeshConfig": v(1), "Canary": v(1),
	}
	for kind, versions := range want {
		if diff := cmp.Diff(versions, served[kind]); diff != "" {
			t.Errorf("versions of %s (-want +got):\n%s", kind, diff)
		}
	}
}

// The patch that points at the operator reaches the definitions that need it
// and no other.
func TestWhichDefinitionsAreConverted(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Patches []struct {
			Path   string
			Target struct{ Kind, Name string }
		}
	}
	if err := yaml.Unmarshal(content, &kustomization); err != nil {
		t.Fatal(err)
	}
	if len(kustomization.Patches) != 1 || kustomization.Patches[0].Path != "patches/conversion.yaml" {
		t.Fatalf("patches %+v", kustomization.Patches)
	}
	pattern := regexp.MustCompile("^(?:" + kustomization.Patches[0].Target.Name + ")$")
	got := map[string]bool{}
	for _, r := range loadResources(t) {
		if pattern.MatchString(r.crd.Name) {
			got[r.crd.Name] = true
		}
	}
	want := map[string]bool{}
	for _, name := range convert.Definitions() {
		want[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
}

func TestOlderObjects(t *testing.T) {
	t.Parallel()
	head := func(kind, group, version string) string {
		return "apiVersion: " + group + ".smi-spec.io/" + version + "\nkind: " + kind + "\nmetadata: {name: x}\n"
	}
	weighed := func(version, weight string) string {
		return head("TrafficSplit", "split", version) + "spec: {service: a, backends: [{service: b, weight: " + weight + "}]}"
	}
	target := func(rest string) string {
		return head("TrafficTarget", "access", "v1alpha1") + "destination: {kind: ServiceAccount, name: a" + rest
	}
	tests := map[string]struct {
		yaml, want string
	}{
		"a weight in thousandths":            {yaml: weighed("v1alpha1", "500m")},
		"a weight as a number":               {yaml: weighed("v1alpha1", "1")},
		"a weight as a number in a text":     {yaml: weighed("v1alpha1", "'1'")},
		"a weight with a fraction":           {yaml: weighed("v1alpha1", "'0.5'")},
		"a weight as Go clients write 1000":  {yaml: weighed("v1alpha1", "'1k'")},
		"a weight as Argo writes 100":        {yaml: weighed("v1alpha1", "'1e2'")},
		"a quantity that is negative":        {yaml: weighed("v1alpha1", "'-1m'"), want: "spec.backends[0].weight"},
		"a quantity of bytes":                {yaml: weighed("v1alpha1", "1Ki"), want: "spec.backends[0].weight"},
		"a quantity that is none":            {yaml: weighed("v1alpha1", "half"), want: "spec.backends[0].weight"},
		"a quantity that is hard to read":    {yaml: weighed("v1alpha1", "'1e-999999999'"), want: "spec.backends[0].weight"},
		"a quantity below a billionth":       {yaml: weighed("v1alpha1", "0.5n"), want: "spec.backends[0].weight"},
		"a weight left out":                  {yaml: head("TrafficSplit", "split", "v1alpha2") + "spec: {service: a, backends: [{service: b}]}"},
		"a quantity in v1alpha2":             {yaml: weighed("v1alpha2", "500m"), want: "spec.backends[0].weight"},
		"a negative weight in v1alpha2":      {yaml: weighed("v1alpha2", "-200"), want: "spec.backends[0].weight"},
		"a target without port":              {yaml: target("}")},
		"a target on a port":                 {yaml: target(", port: 8080}\nsources: []\nspecs: []")},
		"a target on no port":                {yaml: target(", port: 0}"), want: "destination.port"},
		"a target for datagrams":             {yaml: target("}\nspecs: [{kind: UDPRoute, name: u}]"), want: "specs[0].kind"},
		"a target without destination":       {yaml: head("TrafficTarget", "access", "v1alpha1") + "sources: []", want: "destination"},
		"a group without matches":            {yaml: head("HTTPRouteGroup", "specs", "v1alpha2"), want: "matches"},
		"a group whose match has only names": {yaml: head("HTTPRouteGroup", "specs", "v1alpha1") + "matches: [{name: m}]"},
		"a route without anything":           {yaml: head("TCPRoute", "specs", "v1alpha2")},
		"a route without spec":               {yaml: head("TCPRoute", "specs", "v1alpha3"), want: "spec"},
		"a UDPRoute for every port":          {yaml: head("UDPRoute", "specs", "v1alpha4") + "spec: {matches: {ports: []}}"},
		"a UDPRoute without ports":           {yaml: head("UDPRoute", "specs", "v1alpha4") + "spec: {matches: {}}", want: "spec.matches.ports"},
	}
	resources := loadResources(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := object(t, tc.yaml)
			got := strings.Join(resources[kindOf(t, content)].problems(content), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got+"\n", tc.want) {
				t.Errorf("problems %q, want one about %q", got, tc.want)
			}
		})
	}
}
