// Command suite runs every kind of test this repository has, one part after
// the other, and says at the end how long each took.
//
//	flags -> plan (parts.go) -> run each part's steps (run.go) -> table (report.go)
//
// A part is a list of commands. Their output is streamed as it comes, with
// `go test -v` so that every executed test can be seen and counted; a part that
// fails does not keep the next from running, and any failure makes the exit
// code 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("suite", flag.ContinueOnError)
	only := fs.String("only", "", "comma-separated `parts` to run")
	skip := fs.String("skip", "", "comma-separated `parts` to leave out")
	list := fs.Bool("list", false, "print the plan and stop")
	golden := fs.Bool("golden-update", false, "rewrite golden files instead of testing")
	fuzz := fs.Duration("fuzz", 0, "run every fuzz target for this `long` instead of testing")
	if err := fs.Parse(args); err != nil {
		return err
	}

	tree, err := discover(ctx)
	if err != nil {
		return err
	}
	var parts []part
	switch {
	case *golden:
		parts = []part{goldenUpdatePart(tree)}
	case *fuzz > 0:
		if parts, err = fuzzParts(tree, *fuzz); err != nil {
			return err
		}
	default:
		parts = plan(tree, newMachine(ctx))
	}
	if parts, err = choose(parts, split(*only), split(*skip)); err != nil {
		return err
	}

	printPlan(out, parts)
	if *list {
		return nil
	}
	start := time.Now()
	var results []result
	for i, p := range parts {
		if ctx.Err() != nil {
			results = append(results, result{part: p.name, outcome: outcomeStopped})
			continue
		}
		fmt.Fprintf(out, "\n=== %d/%d %s: %s\n", i+1, len(parts), p.name, p.about)
		results = append(results, runPart(ctx, p, out))
	}
	printTable(out, results, time.Since(start))
	for _, r := range results {
		if r.outcome == outcomeFailed || r.outcome == outcomeStopped {
			return errors.New("not everything passed")
		}
	}
	return nil
}

func split(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
