package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/heddle-mesh/heddle"

// root is the top of the tree, seen from this package.
const root = "../.."

// mayImport says for each top-level folder which of ours its packages may
// import. It is the import order: nothing else is allowed.
var mayImport = map[string][]string{
	"crds":     {"crds"},
	"operator": {"crds", "operator"},
	"sidecar":  {"crds", "operator", "sidecar"},
	"canary":   {"crds", "canary"},
	"cmd":      {"crds", "operator", "sidecar", "canary"},
	"tests":    {"crds", "operator", "sidecar", "canary", "cmd", "tests"},
}

// purity limits what a package and those below it may import from outside the
// standard library, tests aside. A package under two rules obeys both.
var purity = []struct {
	under   string
	allowed []string
	why     string
}{
	{"operator/mesh", nil, "the model is made of the standard library only"},
	{"canary/engine", nil, "the engine is made of the standard library only"},
	{"crds", []string{"k8s.io/apimachinery", "k8s.io/api", module + "/crds"}, "whoever imports the types should not link more than apimachinery"},
}

// never lists imports that are forbidden to a folder, its tests included.
var never = []struct {
	under  string
	prefix string
	why    string
}{
	{"operator", "github.com/envoyproxy", "the mesh knows nothing of Envoy"},
	{"canary", "github.com/envoyproxy", "a canary knows nothing of Envoy"},
	{"sidecar/redirect", module + "/operator", "redirecting a pod's traffic needs nothing of the mesh"},
}

// pkg is what `go list` says about a package.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	Standard     bool
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path is the package's folder below the top of the tree.
func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func (p pkg) all() []string {
	imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
	slices.Sort(imports)
	return slices.Compact(imports)
}

// listPackages lists every package of the tree, also one that doesn't compile.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e",
		"-json=ImportPath,Name,Dir,Standard,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(pkgs) == 0 {
				t.Fatal("go list found no package")
			}
			return pkgs
		case err != nil:
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportOrder(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		for _, problem := range importProblems(p) {
			t.Error(problem)
		}
	}
}

func importProblems(p pkg) []string {
	var out []string
	layer, _, _ := strings.Cut(p.path(), "/")
	allowed, known := mayImport[layer]
	if !known {
		return []string{p.ImportPath + " is in no folder of the import order"}
	}
	for _, imported := range p.all() {
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
			below, _, _ := strings.Cut(ours, "/")
			if !slices.Contains(allowed, below) {
				out = append(out, p.path()+" imports "+ours+": "+layer+" may import "+strings.Join(allowed, ", "))
			}
		}
		for _, rule := range never {
			if under(p.path(), rule.under) && under(imported, rule.prefix) {
				out = append(out, p.path()+" imports "+imported+": "+rule.why)
			}
		}
	}
	for _, rule := range purity {
		if !under(p.path(), rule.under) {
			continue
		}
		for _, imported := range p.Imports {
			if !standard(imported) && !slices.ContainsFunc(rule.allowed, func(a string) bool { return under(imported, a) }) {
				out = append(out, p.path()+" imports "+imported+": "+rule.why)
			}
		}
	}
	return out
}

// standard tells whether an import is the standard library's: those have no
// dot in their first part.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// under tells whether path is folder or below it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func TestImportProblems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pkg  pkg
		want string
	}{
		"operator may import types":             {pkg: pkg{ImportPath: module + "/operator/build", Imports: []string{module + "/crds/heddle/v1alpha1"}}},
		"types may not import the operator":     {pkg: pkg{ImportPath: module + "/crds/x", XTestImports: []string{module + "/operator/mesh"}}, want: "may import crds"},
		"a canary may not import a sidecar":     {pkg: pkg{ImportPath: module + "/canary/traffic", Imports: []string{module + "/sidecar/xds"}}, want: "may import crds, canary"},
		"not even in its tests":                 {pkg: pkg{ImportPath: module + "/canary/traffic", TestImports: []string{module + "/sidecar/xds"}}, want: "may import crds, canary"},
		"nothing imports a program":             {pkg: pkg{ImportPath: module + "/sidecar/xds", Imports: []string{module + "/cmd/heddle"}}, want: "sidecar may import"},
		"the model imports the standard only":   {pkg: pkg{ImportPath: module + "/operator/mesh", Imports: []string{"k8s.io/api/core/v1"}}, want: "standard library only"},
		"the model's tests may import more":     {pkg: pkg{ImportPath: module + "/operator/mesh", TestImports: []string{"github.com/google/go-cmp/cmp"}}},
		"types don't link a client":             {pkg: pkg{ImportPath: module + "/crds/x", Imports: []string{"k8s.io/client-go/kubernetes"}}, want: "not link more than apimachinery"},
		"k8s.io/api is not k8s.io/apiserver":    {pkg: pkg{ImportPath: module + "/crds/x", Imports: []string{"k8s.io/apiserver/pkg/cel"}}, want: "not link more than apimachinery"},
		"the operator doesn't know Envoy":       {pkg: pkg{ImportPath: module + "/operator/build", Imports: []string{"github.com/envoyproxy/go-control-plane/envoy/type/v3"}}, want: "nothing of Envoy"},
		"a package in a folder of its own kind": {pkg: pkg{ImportPath: module + "/util"}, want: "no folder of the import order"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(importProblems(tc.pkg), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want it to say %q", got, tc.want)
			}
		})
	}
}
