package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/explain"
)

// explainOptions is what the flags of `heddle explain` set.
type explainOptions struct {
	headers   []string
	authority string
	protocol  string
	tls       bool
	format    string
}

func newExplainCommand(o *options) *cobra.Command {
	var e explainOptions
	cmd := &cobra.Command{
		Use:   "explain FROM TO [METHOD PATH]",
		Short: "Say what the mesh does with a request, and why",
		Long: "Reads the cluster's objects and works out, without sending anything, where a request goes, by which\n" +
			"TrafficSplit and shares, and which TrafficTarget admits it, or why none does.\n\n" +
			"FROM is a workload NAMESPACE/NAME (a Deployment's, StatefulSet's, DaemonSet's, Job's or a pod's), a service\n" +
			"account sa:NAMESPACE/NAME, or \"outside\" for a caller without a sidecar. TO is a Service NAMESPACE/NAME[:PORT],\n" +
			"or an address IP:PORT. Without a namespace the current one is meant. Without METHOD and PATH a connection\n" +
			"is explained that is not HTTP.",
		Example: fmt.Sprintf("  %[1]s explain shop/web shop/cart GET /api/items\n  %[1]s explain sa:shop/web shop/cart:8080 POST /api/items -H 'x-beta: yes'\n  %[1]s explain outside shop/db:5432", o.program),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && len(args) != 4 {
				return fmt.Errorf("explain takes FROM and TO, or FROM, TO, METHOD and PATH; there are %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(e.format, "json", "yaml"); err != nil {
				return err
			}
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			objects, err := meshObjects(cmd.Context(), c)
			if err != nil {
				return err
			}
			snapshot, _ := build.Build(objects)
			request, err := e.request(args, snapshot, c.namespace)
			if err != nil {
				return err
			}
			decision := explain.Explain(snapshot, request)
			if e.format != "" {
				return printObject(o.streams.Out, e.format, explanationOf(decision))
			}
			printTrace(o.streams.Out, decision.Trace)
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&e.headers, "header", "H", nil, "Header line \"name: value\"; may be given more than once")
	cmd.Flags().StringVar(&e.authority, "authority", "", "Host header; TO's name unless given")
	cmd.Flags().StringVar(&e.protocol, "protocol", "http1", "Version of HTTP: http1 or http2 (gRPC is http2)")
	cmd.Flags().BoolVar(&e.tls, "tls", false, "The caller speaks TLS of its own, as probes of scheme HTTPS do")
	cmd.Flags().StringVarP(&e.format, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// printTrace aligns what is said of each topic.
func printTrace(w io.Writer, trace []explain.Step) {
	t := &table{}
	for _, step := range trace {
		t.add(strings.Repeat("  ", step.Depth)+step.Topic, step.Text)
	}
	t.print(w)
}

// explanation is the JSON of `heddle explain`.
type explanation struct {
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// Bypassed is what excludes the destination from the caller's sidecar.
	Bypassed string `json:"bypassed,omitempty"`
	Split    string `json:"split,omitempty"`
	// SplitMatch is the match by which the split took the request.
	SplitMatch string              `json:"splitMatch,omitempty"`
	Backends   []explainedBackend  `json:"backends,omitempty"`
	Trace      []map[string]string `json:"trace"`
}

type explainedBackend struct {
	// Service is empty for a destination that is none.
	Service string `json:"service,omitempty"`
	Port    uint16 `json:"port,omitempty"`
	// Weight of Of is the exact share.
	Weight    uint32              `json:"weight"`
	Of        uint64              `json:"of"`
	Outcome   string              `json:"outcome"`
	Reason    string              `json:"reason,omitempty"`
	Endpoints []explainedEndpoint `json:"endpoints,omitempty"`
}

type explainedEndpoint struct {
	Count          int      `json:"count"`
	Port           uint16   `json:"port"`
	ServiceAccount string   `json:"serviceAccount,omitempty"`
	Outcome        string   `json:"outcome"`
	Reason         string   `json:"reason"`
	TrafficTarget  string   `json:"trafficTarget,omitempty"`
	Match          string   `json:"match,omitempty"`
	Path           string   `json:"path,omitempty"`
	Tried          []string `json:"tried,omitempty"`
}

func explanationOf(d explain.Decision) explanation {
	out := explanation{Outcome: d.Outcome.String(), Reason: d.Reason, Bypassed: d.Bypassed, Split: d.Split, SplitMatch: d.SplitMatch}
	for _, b := range d.Branches {
		backend := explainedBackend{Port: b.Backend.Port, Weight: b.Weight, Of: b.Of, Outcome: b.Outcome.String(), Reason: b.Reason}
		if b.Backend.Port != 0 {
			backend.Service = b.Backend.Service.String()
		}
		for _, v := range b.Verdicts {
			endpoint := explainedEndpoint{
				Count: v.Endpoints, Port: v.Port, Outcome: v.Outcome.String(), Reason: v.Reason,
				TrafficTarget: v.Target, Match: v.Match, Path: v.Path, Tried: v.Tried,
			}
			if v.Meshed {
				endpoint.ServiceAccount = v.Identity.Namespace + "/" + v.Identity.ServiceAccount
			}
			backend.Endpoints = append(backend.Endpoints, endpoint)
		}
		out.Backends = append(out.Backends, backend)
	}
	for _, step := range d.Trace {
		out.Trace = append(out.Trace, map[string]string{"topic": step.Topic, "text": step.Text})
	}
	return out
}
