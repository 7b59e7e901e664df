package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newCheckCommand(o *options) *cobra.Command {
	var wait time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out whether the mesh is healthy, and what to do where it isn't",
		Long: "Asks the cluster and every operator what they know and judges it, from the Kubernetes API up to\n" +
			"the single proxy. Whatever is wrong is printed with what to do about it.\n\n" +
			"Exit code 1 when a check failed; warnings leave it 0.",
		Example: fmt.Sprintf("  %s check\n  %s check --wait 2m      # until all is well, for scripts\n  %s check -o json", o.program, o.program, o.program),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format, "json", "yaml"); err != nil {
				return err
			}
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			report := o.checkUntil(cmd.Context(), c, wait)
			if format != "" {
				err = printObject(o.streams.Out, format, report)
			} else {
				err = report.write(o.streams.Out, o.palette())
			}
			if err == nil && !report.OK {
				err = errFound
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "Check again until nothing fails, at most this long")
	cmd.Flags().StringVarP(&format, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// checkUntil gathers and judges once, and then again until nothing fails or
// the time is up. There is no single thing to watch: half of the facts come
// from port-forwards.
func (o *options) checkUntil(ctx context.Context, c *cluster, wait time.Duration) report {
	const between = 2 * time.Second
	deadline := o.clock().Add(wait)
	for {
		r := judge(gather(ctx, c, o.system, o.clock), version)
		if r.OK || !o.clock().Add(between).Before(deadline) || ctx.Err() != nil {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-time.After(between):
		}
	}
}
