package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Where the parts that need more than Go live; every other package with tests
// belongs to the unit part.
const (
	dirArch         = "/tests/arch"
	dirEnvtest      = "/tests/envtest"
	dirE2E          = "/tests/e2e"
	dirEnvoy        = "/tests/xds"
	dirDifferential = "/tests/differential"
	dirLab          = "/tests/lab"
	dirBench        = "/tests/bench"
	dirCompat       = "/tests/compat"
)

// pkg is a package with tests.
type pkg struct {
	path string
	// golden and fuzz name the test functions of that kind in it.
	golden, fuzz []string
}

// tree is what `go list` says this repository holds.
type tree struct {
	root string
	pkgs []pkg
	// lab is whether the program that makes a cluster is there.
	lab bool
}

// under returns the import paths below dir.
func (t tree) under(dir string) []string {
	var out []string
	for _, p := range t.pkgs {
		if strings.Contains(p.path+"/", dir+"/") {
			out = append(out, p.path)
		}
	}
	return out
}

// unit returns the import paths of the packages that need nothing but Go.
func (t tree) unit() []string {
	var out []string
	for _, p := range t.pkgs {
		if !special(p.path) {
			out = append(out, p.path)
		}
	}
	return out
}

// golden returns the unit packages that hold golden tests.
func (t tree) golden() []string {
	var out []string
	for _, p := range t.pkgs {
		if len(p.golden) > 0 && !special(p.path) {
			out = append(out, p.path)
		}
	}
	return out
}

func special(path string) bool {
	for _, dir := range []string{dirArch, dirEnvtest, dirE2E, dirEnvoy, dirDifferential, dirBench, dirCompat} {
		if strings.Contains(path+"/", dir+"/") {
			return true
		}
	}
	return false
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)

// discover lists the packages that have tests, and finds their golden and fuzz
// tests by name.
func discover(ctx context.Context) (tree, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-json=Dir,ImportPath,TestGoFiles,XTestGoFiles,Module", "./...")
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return tree{}, fmt.Errorf("list packages: %w", err)
	}
	var t tree
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		var p struct {
			Dir, ImportPath           string
			TestGoFiles, XTestGoFiles []string
			Module                    *struct{ Dir string }
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return t, nil
		} else if err != nil {
			return tree{}, fmt.Errorf("read go list's output: %w", err)
		}
		if p.Module != nil {
			t.root = p.Module.Dir
		}
		t.lab = t.lab || strings.HasSuffix(p.ImportPath, dirLab)
		files := append(p.TestGoFiles, p.XTestGoFiles...)
		if len(files) == 0 {
			continue
		}
		found := pkg{path: p.ImportPath}
		for _, f := range files {
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				return tree{}, fmt.Errorf("read a test file: %w", err)
			}
			found.add(src)
		}
		t.pkgs = append(t.pkgs, found)
	}
}

func (p *pkg) add(src []byte) {
	for _, m := range testFunc.FindAllSubmatch(src, -1) {
		name := string(m[1])
		switch {
		case strings.HasPrefix(name, "Fuzz"):
			p.fuzz = append(p.fuzz, name)
		case strings.Contains(strings.ToLower(name), "golden"):
			p.golden = append(p.golden, name)
		}
	}
}
