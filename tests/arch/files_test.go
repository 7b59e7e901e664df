package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is how long a file may be that a person wrote. A topic that needs
// more is two topics.
const maxLines = 400

// minComment is how much a package comment has to say.
const minComment = 60

// topLevel lists what may stand at the top of the tree.
var topLevel = []string{
	"cmd", "crds", "operator", "sidecar", "canary", "config", "kustomize", "tests", "docs",
	"go.mod", "go.sum", "Makefile", "PROJECT", "README.md", "LICENSE",
	".ci", ".git", ".gitignore", ".golangci.yml",
	"bin", "dist", // made by make, ignored by git
}

// vagueNames say nothing about what is in a package or a file, so everything
// ends up there.
var vagueNames = []string{
	"base", "common", "core", "data", "handlers", "helper", "helpers", "info", "lib", "manager", "managers", "misc",
	"model", "models", "shared", "stuff", "types", "util", "utils",
}

// vagueFiles are the same for files.
var vagueFiles = []string{"common", "helper", "helpers", "manager", "misc", "shared", "stuff", "util", "utils"}

// pure lists packages that are functions of their arguments: time is one of
// them.
var pure = []string{
	"operator/mesh", "operator/build", "operator/explain", "sidecar/view", "sidecar/envoy", "sidecar/endpoints",
	"sidecar/bootstrap", "canary/engine", "canary/analysis",
}

var generatedLine = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// source is one Go file.
type source struct {
	// path is relative to the top of the tree, with slashes.
	path    string
	content []byte
}

func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return generatedLine.Match(s.content) }

func goSources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "dist") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		out = append(out, source{path: filepath.ToSlash(relative), content: content})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go files found")
	}
	return out
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(topLevel, entry.Name()) {
			t.Errorf("%s does not belong at the top of the tree", entry.Name())
		}
	}
}

func TestFileLength(t *testing.T) {
	t.Parallel()
	for _, s := range goSources(t) {
		if lines := bytes.Count(s.content, []byte("\n")); lines > maxLines && !s.generated() {
			t.Errorf("%s has %d lines, more than %d: divide it by topic", s.path, lines, maxLines)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range goSources(t) {
		file := strings.TrimSuffix(path.Base(s.path), ".go")
		if slices.Contains(vagueFiles, strings.TrimSuffix(file, "_test")) {
			t.Errorf("%s: name the file after its topic", s.path)
		}
		for _, folder := range strings.Split(path.Dir(s.path), "/") {
			if slices.Contains(vagueNames, folder) || folder == "pkg" || folder == "internal" {
				t.Errorf("%s: name the package after what it provides, not %s", s.path, folder)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		var comment string
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			comment += file.Doc.Text()
		}
		switch {
		case len(p.GoFiles) == 0: // only tests, or nothing for this platform
		case len(comment) < minComment:
			t.Errorf("%s: the package comment must say what it is and how data flows through it", p.path())
		case p.Name == "main" && !strings.HasPrefix(comment, "Command "):
			t.Errorf("%s: the package comment of a program starts with \"Command\"", p.path())
		case p.Name != "main" && !strings.HasPrefix(comment, "Package "+p.Name):
			t.Errorf("%s: the package comment starts with \"Package %s\"", p.path(), p.Name)
		}
	}
}

func TestPurePackagesTakeTimeAsAnArgument(t *testing.T) {
	t.Parallel()
	for _, s := range goSources(t) {
		folder := path.Dir(s.path)
		if s.test() || !slices.ContainsFunc(pure, func(p string) bool { return under(folder, p) }) {
			continue
		}
		for _, call := range clockCalls(t, s) {
			t.Errorf("%s uses %s: time is an argument there", s.path, call)
		}
	}
}

// clockCalls returns the uses of functions that read the clock or wait.
func clockCalls(t *testing.T, s source) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), s.path, s.content, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := selector.X.(*ast.Ident)
		if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"}, selector.Sel.Name) {
			out = append(out, "time."+selector.Sel.Name)
		}
		return true
	})
	return out
}
