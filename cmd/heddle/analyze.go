package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// analyzeOptions is what the flags of `heddle analyze` set.
type analyzeOptions struct {
	files          []string
	recursive      bool
	everywhere     bool
	againstLive    bool
	format         string
	namespaceGiven bool
}

func newAnalyzeCommand(o *options) *cobra.Command {
	var a analyzeOptions
	cmd := &cobra.Command{
		Use:   "analyze [-f FILE]...",
		Short: "Say what is wrong with manifests, or with what is in the cluster",
		Long: "Judges TrafficSplits, TrafficTargets, routes, MeshConfigs and Canaries of every version as the operator would:\n" +
			"each by itself, and all together with the Services that they name.\n\n" +
			"With -f, manifests are judged, without a cluster: what they refer to and don't hold is only warned of. -f is a file,\n" +
			"a directory, or - for standard input, and may be given more than once. With --live, they are judged as if they were\n" +
			"applied to the cluster. Without -f, the cluster's own objects are judged.\n\n" +
			"The exit code is 1 when there is an error, and 0 when there are warnings only.",
		Example: fmt.Sprintf("  %[1]s analyze -A\n  %[1]s analyze -f deploy/ -R\n  kubectl kustomize overlays/prod | %[1]s analyze -f - --live", o.program),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.check(); err != nil {
				return err
			}
			a.namespaceGiven = cmd.Flags().Changed("namespace")
			report, err := a.analyze(cmd.Context(), o)
			if err != nil {
				return err
			}
			if a.format != "" {
				err = printObject(o.streams.Out, a.format, report)
			} else {
				err = report.write(o.streams.Out, o.palette())
			}
			if err == nil && !report.OK {
				err = errFound
			}
			return err
		},
	}
	cmd.Flags().StringArrayVarP(&a.files, "filename", "f", nil, "File or directory of manifests, or - for standard input")
	cmd.Flags().BoolVarP(&a.recursive, "recursive", "R", false, "Look into the directories below those of -f")
	cmd.Flags().BoolVarP(&a.everywhere, "all-namespaces", "A", false, "Judge the cluster's objects of all namespaces")
	cmd.Flags().BoolVar(&a.againstLive, "live", false, "Judge the manifests as if they were applied to the cluster")
	cmd.Flags().StringVarP(&a.format, "output", "o", "", "Output format: json or yaml")
	return cmd
}

func (a *analyzeOptions) check() error {
	if len(a.files) == 0 && (a.recursive || a.againstLive) {
		return errors.New("-R and --live are about manifests; name some with -f")
	}
	if len(a.files) > 0 && a.everywhere {
		return errors.New("-A is about the cluster's objects, -f about manifests; use --live to judge these among those")
	}
	return checkFormat(a.format, "json", "yaml")
}

// analyze reads what is to be judged. Manifests alone take no cluster.
func (a *analyzeOptions) analyze(ctx context.Context, o *options) (analysis, error) {
	objects := newAnalyzed()
	namespace := "default"
	if a.namespaceGiven {
		namespace = *o.flags.Namespace
	}
	if len(a.files) == 0 || a.againstLive {
		c, err := o.connect(o.flags)
		if err != nil {
			return analysis{}, err
		}
		namespace = c.namespace
		if err := objects.addLive(ctx, c, func(in string) bool {
			return len(a.files) == 0 && (a.everywhere || in == "" || in == namespace)
		}); err != nil {
			return analysis{}, err
		}
	}
	for _, name := range a.files {
		found, err := readManifests(name, a.recursive, o.streams.In)
		if err != nil {
			return analysis{}, err
		}
		for _, m := range found {
			objects.addManifest(m, namespace)
		}
	}
	return objects.judge(len(a.files) > 0 && !a.againstLive), nil
}
