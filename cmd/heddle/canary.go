package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

func newCanaryCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "canary", Aliases: []string{"canaries"}, Short: "Look at releases under way, and steer them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCanaryGetCommand(o), newCanaryPlanCommand(o))
	for _, verb := range canaryVerbs {
		cmd.AddCommand(newCanaryRequestCommand(o, verb))
	}
	return cmd
}

func newCanaryGetCommand(o *options) *cobra.Command {
	var format string
	var all, follow bool
	cmd := &cobra.Command{
		Use: "get [NAME]", Aliases: []string{"list"},
		Short: "Print canaries, their phase and how much traffic the candidate has",
		Long: "With -w prints one more line at each transition: a new phase, weight or failed check. It goes on\n" +
			"until interrupted.",
		Example: fmt.Sprintf("  %s canary get -A\n  %s canary get cart -n shop -w", o.program, o.program),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format, "json", "yaml"); err != nil {
				return err
			}
			if follow && format != "" {
				return errors.New("-w prints lines, not JSON or YAML: leave out -o")
			}
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			sel := canarySelection{namespace: c.namespace}
			if all {
				sel.namespace = ""
			}
			if len(args) == 1 {
				if all {
					return errors.New("a name is unique only in one namespace: leave out -A")
				}
				sel.name = args[0]
			}
			list, err := sel.list(cmd.Context(), c.objects)
			if err != nil {
				return err
			}
			if sel.name != "" && len(list.Items) == 0 {
				return fmt.Errorf("there is no canary %q in namespace %q", sel.name, sel.namespace)
			}
			switch {
			case format != "" && sel.name != "":
				return printObject(o.streams.Out, format, list.Items[0].Object)
			case format != "":
				return printObject(o.streams.Out, format, list)
			case follow:
				return o.followCanaries(cmd.Context(), c.objects, sel, list)
			case len(list.Items) == 0:
				fmt.Fprintln(o.streams.ErrOut, "There are no canaries.")
				return nil
			}
			t := &table{}
			t.add(canaryHeader(sel.namespace == "")...)
			for _, line := range readCanaries(list) {
				t.add(line.cells(sel.namespace == "", o.clock())...)
			}
			t.print(o.streams.Out)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "All namespaces")
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "Print a line at each transition")
	cmd.Flags().StringVarP(&format, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// canarySelection says which canaries; empty fields mean all.
type canarySelection struct{ namespace, name string }

func (s canarySelection) options() metav1.ListOptions {
	if s.name == "" {
		return metav1.ListOptions{}
	}
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", s.name).String()}
}

func (s canarySelection) has(o *unstructured.Unstructured) bool {
	return s.name == "" || o.GetName() == s.name
}

func (s canarySelection) list(ctx context.Context, client dynamic.Interface) (*unstructured.UnstructuredList, error) {
	list, err := client.Resource(canaryResource).Namespace(s.namespace).List(ctx, s.options())
	if err != nil {
		return nil, fmt.Errorf("list canaries: %w", err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(o unstructured.Unstructured) bool { return !s.has(&o) })
	slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return list, nil
}

// followCanaries prints what there is and then each transition. A watch that
// the server ends is opened again from a fresh list.
func (o *options) followCanaries(ctx context.Context, client dynamic.Interface, sel canarySelection, list *unstructured.UnstructuredList) error {
	l := newCanaryLog(o.streams.Out, sel.namespace == "", o.clock)
	for {
		for _, line := range readCanaries(list) {
			l.see(line)
		}
		opts := sel.options()
		opts.ResourceVersion = list.GetResourceVersion()
		w, err := client.Resource(canaryResource).Namespace(sel.namespace).Watch(ctx, opts)
		if err != nil {
			return unlessStopped(ctx, fmt.Errorf("watch canaries: %w", err))
		}
		l.follow(ctx, w, sel)
		w.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
		if list, err = sel.list(ctx, client); err != nil {
			return unlessStopped(ctx, err)
		}
	}
}

// unlessStopped drops the error that stopping the program brings about.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// canaryLog prints one aligned line for each transition it sees. One
// goroutine uses it.
type canaryLog struct {
	out        io.Writer
	namespaces bool
	clock      func() time.Time
	last       map[string]canaryLine
	width      []int
}

func newCanaryLog(out io.Writer, namespaces bool, clock func() time.Time) *canaryLog {
	l := &canaryLog{out: out, namespaces: namespaces, clock: clock, last: map[string]canaryLine{}}
	l.row(append([]string{"TIME"}, canaryHeader(namespaces)...))
	return l
}

func (l *canaryLog) follow(ctx context.Context, w watch.Interface, sel canarySelection) {
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return
			}
			o, ok := event.Object.(*unstructured.Unstructured)
			if !ok || !sel.has(o) {
				continue
			}
			line := readCanary(o)
			if event.Type == watch.Deleted {
				line.phase, line.message = "(deleted)", ""
			}
			l.see(line)
		}
	}
}

// see prints the line unless it says what the last one of that canary said.
func (l *canaryLog) see(line canaryLine) {
	key := line.namespace + "/" + line.name
	if old, ok := l.last[key]; ok && old.same(line) {
		return
	}
	l.last[key] = line
	now := l.clock()
	l.row(append([]string{now.Format(time.TimeOnly)}, line.cells(l.namespaces, now)...))
}

// usualWidth is how wide a column of the log starts, so that the lines to come
// fit.
var usualWidth = map[string]int{"TIME": 8, "NAMESPACE": 12, "NAME": 12, "PHASE": 12, "TRAFFIC": 15, "FAILURES": 8, "FOR": 4}

// row keeps columns aligned although later rows aren't known yet: a column
// only ever gets wider.
func (l *canaryLog) row(cells []string) {
	t := &table{}
	if l.width == nil {
		for _, head := range cells {
			l.width = append(l.width, usualWidth[head])
		}
	}
	for i, c := range cells {
		l.width[i] = max(l.width[i], len([]rune(c)))
		if i < len(cells)-1 {
			cells[i] = c + strings.Repeat(" ", l.width[i]-len([]rune(c)))
		}
	}
	t.add(cells...)
	t.print(l.out)
}
