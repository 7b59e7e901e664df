package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

func newProxyCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "proxy", Short: "Look at the sidecars", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newProxyStatusCommand(o))
	return cmd
}

func newProxyStatusCommand(o *options) *cobra.Command {
	var format string
	var all, failing bool
	cmd := &cobra.Command{
		Use:   "status [POD]",
		Short: "Print what each connected sidecar holds, has yet to accept, and refused",
		Long: "Asks every operator pod which sidecars it serves. For each kind of resource the table has the\n" +
			"number a sidecar accepted, with what it was sent but has not accepted yet after a slash. A\n" +
			"sidecar that refuses something keeps what it had before; what and why is printed below the table.",
		Example: fmt.Sprintf("  %s proxy status -A\n  %s proxy status -n shop cart-7d4b9c-xk2pq\n  %s proxy status -A --fail   # exit code 1 when anything was refused", o.program, o.program, o.program),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format, "json", "yaml"); err != nil {
				return err
			}
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			lists, err := allProxies(cmd.Context(), c, o.system)
			if err != nil {
				return err
			}
			sel := proxySelection{namespace: c.namespace}
			if all || (len(args) == 0 && *o.flags.Namespace == "") {
				sel.namespace = ""
			}
			if len(args) == 1 {
				sel.pod = args[0]
			}
			proxies := sel.of(merge(lists))
			if sel.pod != "" && len(proxies) == 0 {
				return fmt.Errorf("no operator serves a sidecar of pod %q in namespace %q", sel.pod, sel.namespace)
			}
			if format != "" {
				err = printObject(o.streams.Out, format, map[string]any{"proxies": proxies})
			} else {
				printProxies(o.streams.Out, proxies, o.clock())
			}
			if err == nil && failing && slices.ContainsFunc(proxies, func(p servedProxy) bool { return len(p.Rejected) > 0 }) {
				err = errFound
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "All namespaces; the default unless -n is given")
	cmd.Flags().StringVarP(&format, "output", "o", "", "Output format: json or yaml")
	cmd.Flags().BoolVar(&failing, "fail", false, "Exit with code 1 when a sidecar refused something")
	return cmd
}

// allProxies asks every running operator pod.
func allProxies(ctx context.Context, c *cluster, system string) ([]xds.ProxyList, error) {
	deployment, err := c.kube.AppsV1().Deployments(system).Get(ctx, heddlev1alpha1.OperatorName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("find the operator: %w", err)
	}
	found := gatherProxies(ctx, c, operatorPods(ctx, c.kube, know(deployment, nil)))
	if found.err != nil {
		return nil, found.err
	}
	return found.value, nil
}

// servedProxy is a proxy and the operator pod that serves it.
type servedProxy struct {
	xds.ProxyStatus `json:",inline"`
	Operator        string `json:"operator"`
}

// merge makes one sorted list of what several operators say. A proxy that has
// just moved from one to another is served by the one it connected to last.
func merge(lists []xds.ProxyList) []servedProxy {
	newest := map[string]servedProxy{}
	for _, l := range lists {
		for _, p := range l.Proxies {
			key := p.Namespace + "/" + p.Pod
			if old, ok := newest[key]; !ok || old.ConnectedAt.Before(p.ConnectedAt) {
				newest[key] = servedProxy{ProxyStatus: p, Operator: l.Operator}
			}
		}
	}
	out := make([]servedProxy, 0, len(newest))
	for _, p := range newest {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b servedProxy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod))
	})
	return out
}

// proxySelection picks proxies; empty fields pick all.
type proxySelection struct{ namespace, pod string }

func (s proxySelection) of(all []servedProxy) []servedProxy {
	return slices.DeleteFunc(all, func(p servedProxy) bool {
		return (s.namespace != "" && p.Namespace != s.namespace) || (s.pod != "" && p.Pod != s.pod)
	})
}

func printProxies(w io.Writer, proxies []servedProxy, now time.Time) {
	if len(proxies) == 0 {
		fmt.Fprintln(w, "No sidecar is connected.")
		return
	}
	t := &table{}
	t.add("POD", "SYNCED", "CDS", "EDS", "LDS", "RDS", "SDS", "CERT EXPIRES", "AGE", "REJECTED")
	for _, p := range proxies {
		synced := "yes"
		if !p.Synced {
			synced = "no"
		}
		rejected := "-"
		if n := len(p.Rejected); n > 0 {
			rejected = fmt.Sprint(n)
		}
		t.add(p.Namespace+"/"+p.Pod, synced,
			count(p.Types, "CDS"), count(p.Types, "EDS"), count(p.Types, "LDS"), count(p.Types, "RDS", "VHDS"), count(p.Types, "SDS"),
			until(now, p.CertificateExpires), age(now, p.ConnectedAt), rejected)
	}
	t.print(w)
	for _, p := range proxies {
		for _, r := range p.Rejected {
			origin := ""
			if r.Origin != "" {
				origin = " (from " + r.Origin + ")"
			}
			fmt.Fprintf(w, "\n%s/%s refused %s %s%s %s ago:\n  %s\n", p.Namespace, p.Pod, r.Type, r.Name, origin, age(now, r.Since), strings.ReplaceAll(r.Message, "\n", "\n  "))
		}
	}
}

// count words how many resources of some types are accepted, and how many
// more are under way.
func count(types []xds.TypeStatus, names ...string) string {
	acked, open, seen := 0, 0, false
	for _, t := range types {
		if slices.Contains(names, t.Type) {
			seen = true
			acked += t.Acked
			open += max(0, t.Sent-t.Acked) + t.Pending
		}
	}
	switch {
	case !seen:
		return "-"
	case open > 0:
		return fmt.Sprintf("%d/%d", acked, open)
	}
	return fmt.Sprint(acked)
}
