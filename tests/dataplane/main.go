// Command dataplane measures what two sidecars cost a request on the lab: those of
// Heddle beside the smallest pair of Envoys that does mutual TLS and RBAC, and beside
// no proxy at all, all in one run on one machine.
//
//	manifests -> pods -> rounds (paced, saturated) -> medians -> table, JSON
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// options are what is measured.
type options struct {
	rate     int
	paced    int
	saturate int
	rounds   int
	json     string
	keep     bool
}

func main() {
	var o options
	flag.IntVar(&o.rate, "rate", 1000, "requests a second while latency is measured")
	flag.IntVar(&o.paced, "paced", 15_000, "requests of a round at that rate")
	flag.IntVar(&o.saturate, "saturate", 40_000, "requests of a round as fast as they go")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each has every variant in turn, the table has medians")
	flag.StringVar(&o.json, "json", "", "file to write the figures to as JSON")
	flag.BoolVar(&o.keep, "keep", false, "leave the pods there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "dataplane:", err)
		os.Exit(1) //nolint:gocritic // nothing of the context outlives the process
	}
}

func run(ctx context.Context, o options) error {
	image, err := kubectl(ctx, "", "-n", heddlev1alpha1.SystemNamespace, "get", "deployment", heddlev1alpha1.OperatorName, "-o", `jsonpath={..env[?(@.name=="HEDDLE_PROXY_IMAGE")].value}`)
	if err != nil {
		return err
	}
	variants, err := variants(image)
	if err != nil {
		return err
	}
	if !o.keep {
		defer func() {
			for _, v := range variants {
				_, _ = kubectl(context.WithoutCancel(ctx), "", "delete", "namespace", v.namespace(), "--wait=false", "--ignore-not-found")
			}
		}()
	}
	for _, v := range variants {
		fmt.Fprintln(os.Stderr, "starting", v.name)
		if err := v.start(ctx); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	rounds := make([][]figures, len(variants))
	for n := range o.rounds {
		for i := range variants {
			v := variants[(i+n)%len(variants)] // nobody is always first
			one, err := v.measure(ctx, o)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			rounds[(i+n)%len(variants)] = append(rounds[(i+n)%len(variants)], one)
			fmt.Fprintf(os.Stderr, "round %d of %d, %s: %+v\n", n+1, o.rounds, v.name, one)
		}
	}
	r := report{Machine: fmt.Sprintf("%d cores, %s; clients and servers share it", runtime.NumCPU(), runtime.Version()), Rate: o.rate, Rounds: o.rounds}
	for i, v := range variants {
		r.Rows = append(r.Rows, row{What: v.name, figures: medians(rounds[i])})
	}
	r.write(os.Stdout)
	if o.json == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(raw, '\n'), 0o600)
}
