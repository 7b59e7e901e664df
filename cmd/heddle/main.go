package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// version is set by the linker.
var version = "dev"

// errFound is returned by a verb that has already said what is wrong.
var errFound = errors.New("something is wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	cmd := newRoot(filepath.Base(os.Args[0]), streams, connect)
	if err := cmd.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errFound) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		os.Exit(1)
	}
}

// options is what every verb shares.
type options struct {
	flags     *genericclioptions.ConfigFlags
	connect   connector
	streams   genericiooptions.IOStreams
	system    string
	noColor   bool
	program   string
	clock     func() time.Time
	getenv    func(string) string
	isConsole func() bool
}

func newRoot(argv0 string, streams genericiooptions.IOStreams, connect connector) *cobra.Command {
	o := &options{
		flags:     genericclioptions.NewConfigFlags(true),
		connect:   connect,
		streams:   streams,
		program:   programName(argv0),
		clock:     time.Now,
		getenv:    os.Getenv,
		isConsole: func() bool { return isTerminal(streams.Out) },
	}
	cmd := &cobra.Command{
		Use:           o.program,
		Short:         "Look at a Heddle service mesh",
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: o.program},
	}
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	o.flags.AddFlags(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&o.system, "system-namespace", defaultSystem, "Namespace of the operator")
	cmd.PersistentFlags().BoolVar(&o.noColor, "no-color", false, "Print without colour (as does NO_COLOR)")
	cmd.AddCommand(newCheckCommand(o), newProxyCommand(o), newCanaryCommand(o), newExplainCommand(o), newAnalyzeCommand(o),
		newVersionCommand(o))
	return cmd
}

// programName is how the user called this: "kubectl heddle" when it runs as a
// plugin.
func programName(argv0 string) string {
	if strings.HasPrefix(argv0, "kubectl-") {
		return "kubectl heddle"
	}
	return "heddle"
}

// palette returns the colours to use: none unless a person is looking.
func (o *options) palette() palette {
	if o.noColor || o.getenv("NO_COLOR") != "" || !o.isConsole() {
		return palette{}
	}
	return coloured
}
