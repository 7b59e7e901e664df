package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnImageDependsOnNothingButItsFiles(t *testing.T) {
	t.Parallel()
	digest := func(files map[string]string) string {
		t.Helper()
		from := map[string]string{}
		for name, content := range files {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			from[name] = file
		}
		img, err := assemble("/a", from)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"linux", "amd64", "/a"}, []string{config.OS, config.Architecture, config.Config.Entrypoint[0]}); diff != "" {
			t.Errorf("config (-want +got):\n%s", diff)
		}
		name, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		return name.String()
	}
	first := digest(map[string]string{"a": "1", "lib/b": "2"})
	if again := digest(map[string]string{"lib/b": "2", "a": "1"}); again != first {
		t.Errorf("the same files made another image: %s, then %s", first, again)
	}
	if other := digest(map[string]string{"a": "1", "lib/b": "3"}); other == first {
		t.Error("a changed file left the image as it was: it would not be imported")
	}
}
