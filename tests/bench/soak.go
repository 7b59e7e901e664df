package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// endured is what came of clients that misbehave, and of a restart.
type endured struct {
	Machine string  `json:"machine"`
	Size    string  `json:"size"`
	Calls   int     `json:"calls"`
	Stalls  stalls  `json:"stalls"`
	Storm   storm   `json:"storm"`
	Reunion reunion `json:"reunion"`
}

// endure has clients misbehave on a size.
func endure(ctx context.Context, o options, s size, out io.Writer) (any, error) {
	b, err := prepare(ctx, o, s, saying(s))
	if err != nil {
		return nil, err
	}
	defer b.stop()
	r := endured{Machine: machine(), Size: s.String(), Calls: o.scoped}
	if r.Stalls, err = b.stall(ctx, 20, o.repeat); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\n%s (Services x proxies)\n", s)
	fmt.Fprintf(out, "%d clients that don't read: %d cut off and counted; an endpoint's p99 at the others %.1f ms before, %.1f ms meanwhile (%d changes each)\n",
		r.Stalls.Clients, r.Stalls.CutOff, r.Stalls.BeforeP99MS, r.Stalls.MeanwhileP99MS, r.Stalls.Changes)
	if r.Storm, err = b.drop(ctx, 2000); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d clients that connect and drop: goroutines %d, then %d; descriptors %d, then %d; heap %.1f MiB, then %.1f MiB\n",
		r.Storm.Clients, r.Storm.Before.Goroutines, r.Storm.After.Goroutines, r.Storm.Before.Descriptors, r.Storm.After.Descriptors,
		mebibytes(r.Storm.Before.HeapBytes), mebibytes(r.Storm.After.HeapBytes))
	if r.Reunion, err = b.restart(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d proxies back at once after a restart, with %d resources known: sent %d, of which %d are their certificates; %d bytes each; the last after %.0f ms\n",
		r.Reunion.Proxies, r.Reunion.Known, r.Reunion.Sent, r.Reunion.Certificates, r.Reunion.Bytes/r.Reunion.Proxies, r.Reunion.LastMS)
	if r.Stalls.CutOff != r.Stalls.Clients || r.Reunion.Sent != r.Reunion.Proxies || r.Reunion.Certificates != r.Reunion.Proxies {
		return r, errors.New("that is not as it must be")
	}
	return r, nil
}

// soaked is what came of a churn on a size.
type soaked struct {
	Machine string `json:"machine"`
	Size    string `json:"size"`
	Calls   int    `json:"calls"`
	Rate    int    `json:"rate"`
	endurance
}

// flat is by how much what is held may be above what it was before to count as
// the same.
const flat = 0.1

// soak has a mesh of a size churn, and fails if what the operator holds grows.
func soak(ctx context.Context, o options, s size, out io.Writer) (any, error) {
	b, err := prepare(ctx, o, s, saying(s))
	if err != nil {
		return nil, err
	}
	defer b.stop()
	for _, p := range b.fleet.proxies {
		p.holds = nil // nobody comes back with it, and it is memory
	}
	fmt.Fprintf(out, "\n%s (Services x proxies), %d pod changes a second for %s\n", s, o.rate, o.long)
	fmt.Fprintf(out, "%8s  %14s  %10s  %11s  %8s  %7s\n", "time", "weight to last", "goroutines", "descriptors", "heap MiB", "RSS MiB")
	c := churn{bed: b, rate: o.rate, long: o.long, visit: true}
	r := soaked{Machine: machine(), Size: s.String(), Calls: o.scoped, Rate: o.rate}
	r.endurance, err = c.run(ctx, max(o.long/30, 2*time.Second), func(s sample) {
		fmt.Fprintf(out, "%8s  %11.0f ms  %10d  %11d  %8.1f  %7.1f\n", s.At.Round(time.Second), s.LastMS,
			s.Vitals.Goroutines, s.Vitals.Descriptors, mebibytes(s.Vitals.HeapBytes), mebibytes(s.RSS))
	})
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, b.operator.tail())
	}
	heap := trend(r.Samples, func(s sample) float64 { return float64(s.Vitals.HeapBytes) })
	rss := trend(r.Samples, func(s sample) float64 { return float64(s.RSS) })
	last := trend(r.Samples, func(s sample) float64 { return s.LastMS })
	fmt.Fprintf(out, "%d changes (%.0f a second); CPU %.1f %% of a processor; weight p50 %.0f ms, p99 %.0f ms; last third against first: heap %+.1f %%, RSS %+.1f %%, weight to last %+.1f %%\n",
		r.Changes, float64(r.Changes)/o.long.Seconds(), r.CPUMS/10/o.long.Seconds(), r.P50MS, r.P99MS, 100*heap, 100*rss, 100*last)
	if heap > flat || rss > flat {
		return r, fmt.Errorf("what the operator holds has grown: heap %+.1f %%, RSS %+.1f %%", 100*heap, 100*rss)
	}
	return r, nil
}

// saying returns what tells of progress on a size.
func saying(s size) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().Format(time.TimeOnly), s, fmt.Sprintf(format, args...))
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func writeJSON(file string, figures any) error {
	raw, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600)
}
