// Command heddle-init prepares a pod for its sidecar and ends. It runs as the
// pod's first init container, once or again:
//
//	environment -> options -> key, CSR -> bootstrap and SDS files -> redirection
//
// Redirection comes last: if anything before it fails the pod doesn't start,
// and nothing has been changed that a retry would trip over. It never talks
// to the network, and the private key never leaves the volume it is written
// to: it isn't logged, printed or sent.
package main

import (
	"flag"
	"io"
	"log/slog"
	"os"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main without the process around it. It returns the exit code.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	flags := flag.NewFlagSet("heddle-init", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dryRun := flags.Bool("dry-run", false, "print what would be done and change nothing")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	opts, err := readOptions(getenv)
	if err != nil {
		log.Error("the environment can't be used", "error", err)
		return 1
	}
	log = log.With("namespace", opts.namespace, "pod", opts.pod)
	if *dryRun {
		if err := preview(opts, stdout); err != nil {
			log.Error("preview failed", "error", err)
			return 1
		}
		return 0
	}
	if err := prepare(opts, log); err != nil {
		log.Error("the pod can't be prepared", "error", err)
		return 1
	}
	log.Info("the pod is prepared", "version", version)
	return 0
}
