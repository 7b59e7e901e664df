// Command bench measures what the control plane costs: the real operator, fed by a real
// API server, and sidecars that are simulated up to the wire (delta ADS over TLS,
// tokens of their pods, certificates of their own). Beside each figure stands that
// of the floor, a program that writes bytes made beforehand of the same sizes to
// the same streams.
//
//	cluster (objects) -> operator -> fleet of proxies -> table, JSON
//	                     floor    -> the same fleet  ┘
//
// `bench endure` has clients misbehave and the operator restart, `bench soak` has
// pods come and go for an hour; both look at what the operator holds afterwards.
// `bench canaries` releases with as many Canaries at once as there are Services.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// assetsVariable names the folder of kube-apiserver and etcd.
const assetsVariable = "KUBEBUILDER_ASSETS"

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
	// plot is a file for the growth with the sizes, empty for none.
	plot string
	// rate and long are of the soak.
	rate int
	long time.Duration
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
	verb, args := "", os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
		if verb != "endure" && verb != "soak" && verb != "canaries" {
			fmt.Fprintf(os.Stderr, "bench: %q is none of endure, soak, canaries; without a word it measures\n", verb)
			os.Exit(2)
		}
	}
	var o options
	var sizes string
	flag.IntVar(&o.rate, "rate", 20, "soak: pods changed a second")
	flag.DurationVar(&o.long, "for", time.Hour, "soak: how long")
	flag.StringVar(&sizes, "sizes", "100x100", "Services x proxies, separated by commas")
	flag.IntVar(&o.repeat, "repeat", 10, "how often each change is made")
	flag.IntVar(&o.scoped, "calls", 0, "Services that each proxy calls; 0 is all of them")
	flag.StringVar(&o.binary, "operator", "", "operator to measure; built from this tree unless given")
	flag.StringVar(&o.base, "base", "", "revision whose operator is measured beside this tree's, instead of the floor")
	flag.StringVar(&o.assets, "assets", os.Getenv(assetsVariable), "folder of kube-apiserver and etcd; made by tests/lab unless given")
	flag.StringVar(&o.profiles, "profiles", "", "folder to write profiles of the operator to: CPU during the initial sync, heap after it, locks of all")
	flag.StringVar(&o.plot, "plot", "", "file to draw to, as SVG, what a change costs at each of the sizes")
	flag.StringVar(&o.json, "json", "", "file to write the figures to as JSON")
	_ = flag.CommandLine.Parse(args) // it exits on an error
	if o.rate < 1 || o.long < time.Second {
		fmt.Fprintln(os.Stderr, "bench: -rate is at least 1, -for at least a second")
		os.Exit(2)
	}
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
	if err := run(ctx, o, verb); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing of the context outlives the process
	}
}

func readSize(text string) (size, error) {
	services, proxies, ok := strings.Cut(text, "x")
	n, errN := strconv.Atoi(services)
	m, errM := strconv.Atoi(proxies)
	if !ok || errN != nil || errM != nil || n < 2 || m < 1 || m > 10*n {
		return size{}, fmt.Errorf("-sizes: %q is not SERVICESxPROXIES with at least 2 Services and at most 10 proxies for each", text)
	}
	return size{n, m}, nil
}

// run does on each size what it is asked for.
func run(ctx context.Context, o options, verb string) error {
	fmt.Fprintln(os.Stderr, "machine:", machine(), "- clients, API server and etcd share it")
	var all []any
	var reports []report
	for _, s := range o.sizes {
		one, err := measured(ctx, o, s, verb)
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		all = append(all, one)
		if r, ok := one.(report); ok {
			reports = append(reports, r)
		}
	}
	if o.plot != "" {
		curves, err := growth(reports)
		if err != nil {
			return fmt.Errorf("-plot: %w", err)
		}
		title := fmt.Sprintf("The operator's processor time for one change, %d proxies", o.sizes[0].Proxies)
		if err := os.WriteFile(o.plot, []byte(draw(title, curves)), 0o600); err != nil {
			return err
		}
	}
	if o.json == "" {
		return nil
	}
	return writeJSON(o.json, all)
}

// measured does on one size what it is asked for and prints what came of it.
func measured(ctx context.Context, o options, s size, verb string) (any, error) {
	var r report
	var err error
	switch {
	case verb == "endure":
		return endure(ctx, o, s, os.Stdout)
	case verb == "canaries":
		return manyCanaries(ctx, o, s, os.Stdout)
	case verb == "soak":
		return soak(ctx, o, s, os.Stdout)
	case o.base != "":
		r, err = compare(ctx, o, s)
	default:
		r, err = measure(ctx, o, s)
	}
	if err != nil {
		return nil, err
	}
	r.Machine = machine()
	r.write(os.Stdout)
	return r, nil
}

func machine() string { return fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.Version()) }
