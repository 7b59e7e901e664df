package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// vitals are what a process holds, and what its xDS server has counted.
type vitals struct {
	Goroutines  int   `json:"goroutines"`
	Descriptors int   `json:"descriptors"`
	HeapBytes   int64 `json:"heapBytes"`
	Connected   int   `json:"connected"`
	Stalled     int   `json:"stalled"`
	// Allocated is all that has ever been allocated.
	Allocated int64 `json:"allocated"`
}

// vitals asks the process for its own, after a collection of garbage if its heap
// is to be looked at.
func (p *process) vitals(ctx context.Context, collect bool) (vitals, error) {
	if collect {
		// Two: the first leaves what waits for a finalizer.
		for range 2 {
			response, err := get(ctx, "http://"+p.debug+"/debug/pprof/heap?gc=1")
			if err != nil {
				return vitals{}, err
			}
			_ = response.Body.Close()
		}
	}
	families, err := p.counted(ctx)
	if err != nil {
		return vitals{}, err
	}
	var missing []string
	value := func(name string) float64 {
		metrics := families[name].GetMetric()
		if len(metrics) != 1 {
			missing = append(missing, name)
			return 0
		}
		return metrics[0].GetGauge().GetValue() + metrics[0].GetCounter().GetValue()
	}
	v := vitals{
		Goroutines: int(value("go_goroutines")), Descriptors: int(value("process_open_fds")),
		HeapBytes: int64(value("go_memstats_heap_alloc_bytes")), Allocated: int64(value("go_memstats_alloc_bytes_total")),
		Connected: int(value("heddle_xds_connected_proxies")), Stalled: int(value("heddle_xds_streams_stalled_total")),
	}
	if len(missing) > 0 {
		return vitals{}, fmt.Errorf("the operator has no single metric %q", missing)
	}
	return v, nil
}

// counted are the process's own metrics.
func (p *process) counted(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	response, err := get(ctx, "http://"+p.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// until asks until the condition holds.
func (p *process) until(ctx context.Context, what string, collect bool, holds func(vitals) bool) (vitals, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		v, err := p.vitals(ctx, collect)
		if err != nil {
			return v, err
		}
		if holds(v) {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, fmt.Errorf("%s: not within a minute: %+v", what, v)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// asking is for what the operator serves on the loopback interface.
var asking = &http.Client{Timeout: 30 * time.Second}

func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := asking.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return response, nil
}
