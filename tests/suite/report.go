package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// printPlan says what is about to happen.
func printPlan(out io.Writer, parts []part) {
	fmt.Fprintln(out, "This runs, in this order:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range parts {
		about := p.about
		if p.skipped != "" {
			about += " (skipped: " + p.skipped + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\n", p.name, about)
	}
	_ = w.Flush()
}

// printTable says how each part ended and how long it took.
func printTable(out io.Writer, results []result, total time.Duration) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tRESULT\tTOOK\tPASSED\tFAILED\tSKIPPED\tNOTE")
	var sum tally
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.part, r.outcome, took(r.took), r.tests.passed, r.tests.failed, r.tests.skipped, r.note)
		sum.passed += r.tests.passed
		sum.failed += r.tests.failed
		sum.skipped += r.tests.skipped
	}
	fmt.Fprintf(w, "all\t\t%s\t%d\t%d\t%d\t\n", took(total), sum.passed, sum.failed, sum.skipped)
	_ = w.Flush()
}

func took(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
