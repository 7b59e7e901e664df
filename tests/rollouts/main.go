// Command rollouts simulates releases to show what comparing a candidate with
// the primary does, beside a fixed threshold on the same traces.
//
//	go run ./tests/rollouts [-n 10000] [-dir docs/reference]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heddle-mesh/heddle/canary/analysis"
)

// limits are those that a Canary has unless it says otherwise.
var limits = analysis.Comparison{Alpha: 0.05, Errors: 0.01, Slow: 0.05}

func main() {
	n := flag.Int("n", 10000, "releases per scenario")
	dir := flag.String("dir", "docs/reference", "where comparison.md and comparison.svg go")
	flag.Parse()
	if err := run(*n, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(n int, dir string) error {
	results := simulate(n)
	for name, text := range map[string]string{"comparison.md": page(n, results), "comparison.svg": plot(results)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // documentation is for all to read
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}
