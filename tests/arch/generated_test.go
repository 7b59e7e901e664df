package arch

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGeneratedFilesAreUpToDate runs `make generate` on a copy of the types and
// compares what comes out with the tree.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	where, err := exec.CommandContext(t.Context(), "make", "-s", "-C", root, "print-CONTROLLER_GEN").Output()
	if err != nil {
		t.Fatalf("ask the Makefile where controller-gen is: %v", err)
	}
	tool := strings.TrimSpace(string(where))
	if out, err := exec.CommandContext(t.Context(), "make", "-s", "-C", root, tool).CombinedOutput(); err != nil {
		t.Skipf("controller-gen can't be installed: %v\n%s", err, out)
	}

	copied := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "Makefile"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(copied, "crds"), os.DirFS(filepath.Join(root, "crds"))); err != nil {
		t.Fatal(err)
	}
	want := generatedFiles(t, filepath.Join(root, "crds"))
	// What is no longer generated must not survive in the copy.
	for name := range want {
		if err := os.Remove(filepath.Join(copied, "crds", name)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "make", "-s", "-C", copied, "generate").CombinedOutput(); err != nil {
		t.Fatalf("make generate: %v\n%s", err, out)
	}
	got := generatedFiles(t, filepath.Join(copied, "crds"))

	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch content, ok := got[name]; {
		case !ok:
			t.Errorf("crds/%s is no longer generated: remove it", name)
		case !bytes.Equal(content, want[name]):
			t.Errorf("crds/%s is out of date: run make generate", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("crds/%s is missing: run make generate", name)
		}
	}
}

// generatedFiles reads what `make generate` writes, by path below dir.
func generatedFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		crd := filepath.Dir(name) == "bases" && filepath.Ext(name) == ".yaml"
		if !crd && !strings.HasPrefix(entry.Name(), "zz_generated.") {
			return nil
		}
		out[name], err = os.ReadFile(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
