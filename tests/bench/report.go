package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// figures are what something cost. Times are milliseconds.
type figures struct {
	// P50MS and P99MS are over all proxies and repetitions, from just before the
	// write to the receipt; LastMS is when the last proxy had it, the median of the
	// repetitions.
	P50MS  float64 `json:"p50MS,omitempty"`
	P99MS  float64 `json:"p99MS,omitempty"`
	LastMS float64 `json:"lastMS"`
	// CPUMS is processor time of the server for one.
	CPUMS         float64 `json:"cpuMS"`
	BytesPerProxy float64 `json:"bytesPerProxy"`
	PeakBytes     int64   `json:"peakBytes"`
	// Proxies are those concerned, Strays are others that were sent something.
	Proxies int `json:"proxies"`
	Strays  int `json:"strays"`
}

type row struct {
	What   string  `json:"what"`
	Heddle figures `json:"heddle"`
	Floor  figures `json:"floor"`
}

// report is one run.
type report struct {
	Machine string `json:"machine"`
	Size    string `json:"size"`
	// Calls are the Services that each proxy calls, 0 for all.
	Calls int `json:"calls"`
	// Base is the revision that stands in the floor's place; empty for the floor.
	Base   string `json:"base,omitempty"`
	Repeat int    `json:"repeat"`
	Rows   []row  `json:"rows"`
}

func (r report) write(to io.Writer) {
	calls := "all"
	if r.Calls > 0 {
		calls = fmt.Sprint(r.Calls)
	}
	fmt.Fprintf(to, "\n%s (Services x proxies), each calls %s; changes %d times; times in ms\n", r.Size, calls, r.Repeat)
	beside := cmp.Or(r.Base, "floor")
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tproxies\tp50\tp99\tlast\t%[1]s\tx\tCPU\t%[1]s\tx\tbytes/proxy\tpeak MiB\t%[1]s\tstrays\t\n", beside)
	for _, row := range r.Rows {
		h, f := row.Heddle, row.Floor
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.0f\t%.0f\t%s\t%.1f\t%.1f\t%s\t%.0f\t%.0f\t%.0f\t%d\t\n", row.What, h.Proxies, orDash(h.P50MS), orDash(h.P99MS),
			h.LastMS, f.LastMS, ratio(h.LastMS, f.LastMS), h.CPUMS, f.CPUMS, ratio(h.CPUMS, f.CPUMS), h.BytesPerProxy,
			float64(h.PeakBytes)/(1<<20), float64(f.PeakBytes)/(1<<20), h.Strays)
	}
	_ = w.Flush()
}

func ratio(x, y float64) string {
	if y == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", x/y)
}

func orDash(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", v)
}
