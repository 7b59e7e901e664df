package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// canaryVerb is something to ask a canary for.
type canaryVerb struct {
	name, short string
	from        []string // phases in which it makes sense
	to          []string // phases that it leads to
	other       string   // what is said in any other phase
}

var canaryVerbs = []canaryVerb{
	{"approve", "Let a release go on that waits for approval", []string{"Waiting"}, []string{"Progressing", "Promoting"}, "nothing waits for approval"},
	{"pause", "Keep a release at its weight; it is judged all the same", []string{"Progressing"}, []string{"Waiting"}, "only a release under way can be paused"},
	{"resume", "Let a paused release go on", []string{"Waiting"}, []string{"Progressing"}, "no release is paused"},
	{"promote", "Leave out the steps that remain", []string{"Progressing", "Waiting"}, []string{"Promoting", "Finalizing", "Succeeded"}, "no release is under way"},
	{"abort", "Take all traffic back to the primary at once", []string{"Progressing", "Waiting", "Promoting"}, []string{"RollingBack", "Aborted"}, "no release is under way"},
	{"retry", "Release again what was rolled back", []string{"Failed", "Aborted"}, []string{"Progressing"}, "only what was rolled back can be tried again"},
}

func newCanaryRequestCommand(o *options, verb canaryVerb) *cobra.Command {
	timeout := 30 * time.Second
	cmd := &cobra.Command{
		Use: verb.name + " NAME", Short: verb.short, Args: cobra.ExactArgs(1),
		Long: verb.short + ".\n\nIt is asked for by annotation " + heddlev1alpha1.AnnotationRequest + ", for the revision at hand only, and waits until the\n" +
			"operator has answered. The exit code is 1 when it was refused or not answered.",
		Example: fmt.Sprintf("  %s canary %s checkout -n shop", o.program, verb.name),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			line, err := verb.ask(ctx, c.objects.Resource(canaryResource).Namespace(c.namespace), args[0], o.clock())
			if err != nil {
				return err
			}
			fmt.Fprintf(o.streams.Out, "%s is %s: %s\n", line.name, line.phase, line.message)
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "How long to wait for the answer")
	return cmd
}

// ask annotates a canary and waits until the operator has answered.
func (v canaryVerb) ask(ctx context.Context, client dynamic.ResourceInterface, name string, now time.Time) (canaryLine, error) {
	o, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return canaryLine{}, fmt.Errorf("get canary %s: %w", name, err)
	}
	line := readCanary(o)
	if err := v.fits(line); err != nil {
		return line, err
	}
	revision, _, _ := unstructured.NestedString(o.Object, "status", "revision")
	request := fmt.Sprintf("%s@%s %s", v.name, revision, now.UTC().Format(time.RFC3339Nano))
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{heddlev1alpha1.AnnotationRequest: request}}})
	if err != nil {
		return line, fmt.Errorf("encode the request: %w", err)
	}
	if _, err := client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "heddle-cli"}); err != nil {
		return line, fmt.Errorf("ask canary %s: %w", name, err)
	}
	if o, err = answered(ctx, client, name, request); err != nil {
		return line, err
	}
	line = readCanary(o)
	if !slices.Contains(v.to, line.phase) {
		return line, fmt.Errorf("%s was refused: canary %s is %s (%s); its Events say why", v.name, name, line.phase, line.message)
	}
	return line, nil
}

// fits says why it makes no sense to ask.
func (v canaryVerb) fits(line canaryLine) error {
	if !slices.Contains(v.from, line.phase) {
		return fmt.Errorf("canary %s is %s: %s", line.name, line.phase, v.other)
	}
	switch {
	case v.name == "approve" && line.paused:
		return fmt.Errorf("canary %s is paused: resume it", line.name)
	case v.name == "resume" && !line.paused:
		return fmt.Errorf("canary %s isn't paused but waits for approval: approve it", line.name)
	}
	return nil
}

// answered waits until the operator has dealt with a request. A watch that ends
// early is no answer.
func answered(ctx context.Context, client dynamic.ResourceInterface, name, request string) (*unstructured.Unstructured, error) {
	done := func(o *unstructured.Unstructured) bool {
		handled, _, _ := unstructured.NestedString(o.Object, "status", "handledRequest")
		return handled == request
	}
	for {
		list, err := client.List(ctx, canarySelection{name: name}.options())
		if err != nil {
			return nil, unanswered(ctx, name, err)
		}
		for i := range list.Items {
			if o := &list.Items[i]; o.GetName() == name && done(o) {
				return o, nil
			}
		}
		options := canarySelection{name: name}.options()
		options.ResourceVersion = list.GetResourceVersion()
		w, err := client.Watch(ctx, options)
		if err != nil {
			return nil, unanswered(ctx, name, err)
		}
		for open := true; open; {
			select {
			case <-ctx.Done():
				w.Stop()
				return nil, unanswered(ctx, name, ctx.Err())
			case event, more := <-w.ResultChan():
				o, isObject := event.Object.(*unstructured.Unstructured)
				if open = more; isObject && o.GetName() == name && done(o) {
					w.Stop()
					return o, nil
				}
			}
		}
		w.Stop()
	}
}

func unanswered(ctx context.Context, name string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the operator didn't answer in time; the request stays with canary %s: is heddle-operator running, is spec.suspend set?", name)
	}
	return fmt.Errorf("wait for canary %s: %w", name, err)
}
