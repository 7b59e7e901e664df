// Command bench measures what the control plane costs: the real operator, fed by a real
// API server, and sidecars that are simulated up to the wire (delta ADS over TLS,
// tokens of their pods, certificates of their own). Beside each figure stands that
// of the floor, a program that writes bytes made beforehand of the same sizes to
// the same streams.
//
//	cluster (objects) -> operator -> fleet of proxies -> table, JSON
//	                     floor    -> the same fleet  ┘
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
)

// options are what is measured.
type options struct {
	sizes  []size
	repeat int
	scoped int
	binary string
	base   string
	assets string
	json   string
	// profiles is a folder, empty for none.
	profiles string
	noFloor  bool
}

// size is a number of Services, with three pods each, and of connected proxies.
type size struct{ Services, Proxies int }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.Services, s.Proxies) }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		if err := serveFloor(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	var sizes string
	flag.StringVar(&sizes, "sizes", "100x100", "Services x proxies, separated by commas")
	flag.IntVar(&o.repeat, "repeat", 10, "how often each change is made")
	flag.IntVar(&o.scoped, "calls", 0, "Services that each proxy calls; 0 is all of them")
	flag.StringVar(&o.binary, "operator", "", "operator to measure; built from this tree unless given")
	flag.StringVar(&o.base, "base", "", "revision whose operator is measured beside this tree's, instead of the floor")
	flag.StringVar(&o.assets, "assets", os.Getenv("KUBEBUILDER_ASSETS"), "folder of kube-apiserver and etcd; made by tests/lab unless given")
	flag.StringVar(&o.profiles, "profiles", "", "folder to write profiles of the operator to: CPU during the initial sync, heap after it")
	flag.StringVar(&o.json, "json", "", "file to write the figures to as JSON")
	flag.Parse()
	for text := range strings.SplitSeq(sizes, ",") {
		s, err := readSize(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, s)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing of the context outlives the process
	}
}

func readSize(text string) (size, error) {
	services, proxies, ok := strings.Cut(text, "x")
	n, errN := strconv.Atoi(services)
	m, errM := strconv.Atoi(proxies)
	if !ok || errN != nil || errM != nil || n < 2 || m < 1 || m > 3*n {
		return size{}, fmt.Errorf("-sizes: %q is not SERVICESxPROXIES with at least 2 Services and at most 3 proxies for each", text)
	}
	return size{n, m}, nil
}

func run(ctx context.Context, o options) error {
	machine := fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(os.Stderr, "machine:", machine, "- clients, API server and etcd share it")
	var reports []report
	for _, s := range o.sizes {
		measureOne := measure
		if o.base != "" {
			measureOne = compare
		}
		r, err := measureOne(ctx, o, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		r.Machine = machine
		r.write(os.Stdout)
		reports = append(reports, r)
	}
	if o.json == "" {
		return nil
	}
	raw, err := json.MarshalIndent(reports, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(raw, '\n'), 0o600)
}
