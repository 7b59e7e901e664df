package envoytest

import (
	"os"
	"path/filepath"
	"testing"
)

// Binary returns the path of a stock Envoy: HEDDLE_ENVOY, or the one that the
// lab keeps. Where there is none it skips the test and says why.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("HEDDLE_ENVOY"); path != "" {
		return path
	}
	cache := os.Getenv("HEDDLE_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("no Envoy: HEDDLE_ENVOY isn't set, and where the lab keeps its own is not known: %v", err)
		}
		cache = filepath.Join(base, "heddle")
	}
	path := filepath.Join(cache, "lab", "envoy-1.40.0", "envoy")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no Envoy: set HEDDLE_ENVOY, or have make lab-up fetch it: %v", err)
	}
	return path
}
