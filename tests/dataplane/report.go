package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figures are what one variant came to. Times are milliseconds; CPU is of both
// proxies together, for one request at saturation, in microseconds; RSS is of the
// larger of the two.
type figures struct {
	P50MS     float64 `json:"p50MS"`
	P99MS     float64 `json:"p99MS"`
	PerSecond float64 `json:"perSecond"`
	CPU       float64 `json:"cpuMicroseconds"`
	RSSBytes  float64 `json:"rssBytes"`
}

type row struct {
	What string `json:"what"`
	figures
}

// report is one run.
type report struct {
	Machine string `json:"machine"`
	Rate    int    `json:"rate"`
	Rounds  int    `json:"rounds"`
	Rows    []row  `json:"rows"`
}

// medians takes each figure's own median.
func medians(of []figures) figures {
	median := func(value func(figures) float64) float64 {
		var all []float64
		for _, f := range of {
			all = append(all, value(f))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return figures{
		P50MS:     median(func(f figures) float64 { return f.P50MS }),
		P99MS:     median(func(f figures) float64 { return f.P99MS }),
		PerSecond: median(func(f figures) float64 { return f.PerSecond }),
		CPU:       median(func(f figures) float64 { return f.CPU }),
		RSSBytes:  median(func(f figures) float64 { return f.RSSBytes }),
	}
}

// write sets each row beside the first two: no proxy, and the smallest pair.
func (r report) write(to io.Writer) {
	fmt.Fprintf(to, "%s; latency at %d requests/s, the rest at saturation; medians of %d rounds; x: the smallest pair is 1\n\n", r.Machine, r.Rate, r.Rounds)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tp50 ms\tx\tp99 ms\tx\trequests/s\tx\tCPU µs/request\tx\tRSS MiB\tx\t")
	least := r.Rows[1].figures
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%.2f\t%s\t%.0f\t%s\t%.0f\t%s\t%.0f\t%s\t\n", row.What, row.P50MS, ratio(row.P50MS, least.P50MS), row.P99MS, ratio(row.P99MS, least.P99MS),
			row.PerSecond, ratio(row.PerSecond, least.PerSecond), row.CPU, ratio(row.CPU, least.CPU), row.RSSBytes/(1<<20), ratio(row.RSSBytes, least.RSSBytes))
	}
	_ = w.Flush()
}

func ratio(x, y float64) string {
	if x == 0 || y == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", x/y)
}
