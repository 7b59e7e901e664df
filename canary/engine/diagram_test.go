package engine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the diagram in docs")

// TestDiagram draws the table and holds docs against it.
func TestDiagram(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "docs", "reference", "canary-phases.md")
	want := diagram()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s isn't what the table says: go test ./canary/engine -run TestDiagram -update", file)
	}
}

func diagram() string {
	var b strings.Builder
	b.WriteString("<!-- Written by: go test ./canary/engine -run TestDiagram -update -->\n\n" +
		"# Phases of a release\n\nThe first row that applies is taken, one at a time; what it doesn't\nname stays in its phase. Traffic is with the candidate in " +
		"Progressing, Waiting\nand Promoting only. An abort takes all of it away in one step; pods end when proxies have " +
		"followed. Waiting has no\ndeadline, but failed checks end it: the metrics are judged meanwhile.\n\n" +
		"```mermaid\nstateDiagram-v2\n")
	seen := map[string]bool{}
	for _, row := range transitions {
		for _, from := range row.from {
			for _, to := range row.to {
				name := string(from)
				if name == "" {
					name = "[*]"
				}
				line := fmt.Sprintf("    %s --> %s: %s\n", name, to, row.name)
				if from != to && !seen[line] {
					b.WriteString(line)
				}
				seen[line] = true
			}
		}
	}
	b.WriteString("```\n\n| | From | When | To |\n|---|---|---|---|\n")
	for i, row := range transitions {
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", i+1, names(row.from), row.name, names(row.to))
	}
	return b.String()
}

func names(phases []Phase) string {
	if len(phases) == 0 {
		return "(stays)"
	}
	if len(phases) == len(everyPhase) {
		return "any"
	}
	var out []string
	for _, p := range phases {
		if p == "" {
			p = "(new)"
		}
		out = append(out, string(p))
	}
	return strings.Join(out, ", ")
}
