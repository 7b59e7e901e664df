package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// versions is the answer of `heddle version`, and its JSON.
type versions struct {
	Client string `json:"client"`
	// Operator is the tag of the operator's image; empty when there is none.
	Operator string `json:"operator,omitempty"`
	// Sidecars counts connected sidecars by version.
	Sidecars map[string]int `json:"sidecars,omitempty"`
	// Error says why the cluster could not be asked.
	Error string `json:"error,omitempty"`
}

func newVersionCommand(o *options) *cobra.Command {
	var clientOnly bool
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program, the operator and the sidecars",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format, "json", "yaml"); err != nil {
				return err
			}
			v := versions{Client: version}
			if !clientOnly {
				if c, err := o.connect(o.flags); err != nil {
					v.Error = err.Error()
				} else {
					v.ask(cmd.Context(), c, o.system)
				}
			}
			if format != "" {
				return printObject(o.streams.Out, format, v)
			}
			v.print(o.streams.Out, clientOnly)
			return nil
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "Only this program; ask no cluster")
	cmd.Flags().StringVarP(&format, "output", "o", "", "Output format: json or yaml")
	return cmd
}

func (v *versions) ask(ctx context.Context, c *cluster, system string) {
	deployment, err := c.kube.AppsV1().Deployments(system).Get(ctx, heddlev1alpha1.OperatorName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		v.Error = fmt.Sprintf("there is no operator in namespace %s", system)
		return
	} else if err != nil {
		v.Error = err.Error()
		return
	}
	v.Operator = imageVersion(deployment.Spec.Template.Spec.Containers)
	proxies := gatherProxies(ctx, c, operatorPods(ctx, c.kube, know(deployment, nil)))
	if proxies.err != nil {
		v.Error = proxies.err.Error()
		return
	}
	v.Sidecars = map[string]int{}
	for _, p := range merge(proxies.value) {
		name := p.Version
		if name == "" {
			name = "unknown"
		}
		v.Sidecars[name]++
	}
}

func (v *versions) print(w io.Writer, clientOnly bool) {
	fmt.Fprintf(w, "heddle:    %s\n", v.Client)
	if clientOnly {
		return
	}
	if v.Operator != "" {
		fmt.Fprintf(w, "operator:  %s\n", v.Operator)
	}
	for i, name := range slices.Sorted(maps.Keys(v.Sidecars)) {
		label := "sidecars: "
		if i > 0 {
			label = "          "
		}
		fmt.Fprintf(w, "%s %d at %s\n", label, v.Sidecars[name], name)
	}
	if v.Error != "" {
		fmt.Fprintf(w, "cluster:   %s\n", v.Error)
	}
}
