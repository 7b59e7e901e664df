package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// options is what the flags say.
type options struct {
	// images is the registry prefix on a cluster of the user's; empty on the
	// lab.
	images string
	// kubeconfig is the user's own cluster; empty for the lab.
	kubeconfig string
	// requests is how many the split is measured with.
	requests int
}

func main() {
	// Client libraries report every watch that ends as an error.
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	const usage = "usage: demo up|install|show|down [flags]"
	if len(args) == 0 {
		return errors.New(usage)
	}
	o := options{kubeconfig: os.Getenv("KUBECONFIG")}
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.StringVar(&o.images, "img", os.Getenv("HEDDLE_IMG"), "registry `prefix` of the images, on a cluster of your own")
	fs.IntVar(&o.requests, "requests", 10_000, "how `many` requests the split is measured with")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	d := &demo{options: o, say: newNarrator(os.Stdout)}
	switch args[0] {
	case "up":
		return d.up(ctx)
	case "install":
		return d.install(ctx)
	case "show":
		return d.show(ctx)
	case "down":
		return d.down(ctx)
	}
	return errors.New(usage)
}
