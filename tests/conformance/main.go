// Command conformance asks of a cluster with Heddle what SMI's own conformance
// suite asks of a mesh: access in 7 steps, specs in 6, split in 11. Each suite
// is run with the oldest and the newest version of its API, every change must
// be in force within a limit, and a report says of every step what came of it:
//
//	suites -> steps, each a change or something to be seen -> report
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options is what the flags say.
type options struct {
	image string
	json  string
	limit time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "\nconformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	fs := flag.NewFlagSet("conformance", flag.ContinueOnError)
	fs.StringVar(&o.image, "image", "lab.local/shop:dev", "`image` of the application that calls and is called")
	fs.StringVar(&o.json, "json", "", "`file` to write the report to, too")
	fs.DurationVar(&o.limit, "limit", 5*time.Second, "`time` within which a change must be in force")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if os.Getenv("KUBECONFIG") == "" {
		return errors.New("no cluster: set KUBECONFIG, or run make conformance")
	}
	c, err := newCluster(ctx, o)
	if err != nil {
		return err
	}
	defer c.remove()
	r := &report{Limit: o.limit.String(), out: os.Stdout}
	r.head()
	for _, s := range suites() {
		r.add(s.run(ctx, c, r.line))
	}
	return errors.Join(r.write(o.json), r.verdict())
}
