package bootstrap

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// inDir writes a pod's files as heddle-init does, but below dir, and returns
// the bootstrap's path.
func inDir(t *testing.T, dir string, p Params) string {
	t.Helper()
	token, err := TokenSecret()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := XDSCASecret()
	if err != nil {
		t.Fatal(err)
	}
	state, identity := filepath.Join(dir, "state"), filepath.Join(dir, "identity")
	for _, d := range []string{state, identity} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{TokenFile: token, XDSCAFile: ca, ConfigFile: renderJSON(t, p)}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content := bytes.ReplaceAll(files[path], []byte(heddlev1alpha1.StateDir), []byte(state))
		content = bytes.ReplaceAll(content, []byte(heddlev1alpha1.IdentityDir), []byte(identity))
		if err := os.WriteFile(filepath.Join(state, filepath.Base(path)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(state, filepath.Base(ConfigFile))
}

func sortedPorts(set map[uint16]bool) []uint16 { return slices.Sorted(maps.Keys(set)) }
