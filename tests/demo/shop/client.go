package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// tally is what a client saw. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	count counts
}

// counts is the JSON that the demo reads.
type counts struct {
	Total int `json:"total"`
	// ByCode counts answers by HTTP status, ByVersion by who gave them; what
	// the mesh answered is in none.
	ByCode    map[string]int `json:"byCode"`
	ByVersion map[string]int `json:"byVersion"`
	// Errors counts requests without an answer. LastError is what one of them,
	// or an answer that no version gave, said.
	Errors    int    `json:"errors"`
	LastError string `json:"lastError,omitempty"`
}

func newTally() *tally {
	return &tally{count: counts{ByCode: map[string]int{}, ByVersion: map[string]int{}}}
}

func (t *tally) answered(code int, version, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count.Total++
	t.count.ByCode[strconv.Itoa(code)]++
	if version != "" {
		t.count.ByVersion[version]++
	} else {
		t.count.LastError = text
	}
}

func (t *tally) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count.Total++
	t.count.Errors++
	t.count.LastError = err.Error()
}

// read returns a copy that nobody changes.
func (t *tally) read() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.count
	c.ByCode, c.ByVersion = maps.Clone(c.ByCode), maps.Clone(c.ByVersion)
	return c
}

// caller sends requests of one kind.
type caller struct {
	client *http.Client
	method string
	url    string
	tally  *tally
}

func newCaller(method, url string) *caller {
	return &caller{client: &http.Client{Timeout: 10 * time.Second}, method: method, url: url, tally: newTally()}
}

func (c *caller) call(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, nil)
	if err != nil {
		c.tally.failed(err)
		return
	}
	res, err := c.client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			c.tally.failed(err)
		}
		return
	}
	defer func() { _ = res.Body.Close() }()
	var a answer
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		c.tally.failed(err)
		return
	}
	// What is no answer of the shop's came from the mesh.
	_ = json.Unmarshal(raw, &a)
	c.tally.answered(res.StatusCode, a.Version, string(raw))
}

// get sends n requests from a few workers and prints the counts.
func get(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("get", flag.ContinueOnError)
	n := fs.Int("n", 1, "how `many` requests")
	workers := fs.Int("c", 8, "how `many` at a time")
	method := fs.String("method", http.MethodGet, "HTTP `method`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *n < 1 || *workers < 1 {
		return errors.New("usage: shop get [-n N] [-c N] [-method M] URL")
	}
	c := newCaller(*method, fs.Arg(0))
	work := make(chan struct{})
	var wg sync.WaitGroup
	for range min(*workers, *n) {
		wg.Go(func() {
			for range work {
				c.call(ctx)
			}
		})
	}
	for range *n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	if err := json.NewEncoder(out).Encode(c.tally.read()); err != nil {
		return fmt.Errorf("print counts: %w", err)
	}
	return nil
}

// load sends requests at a steady rate, each on its own so that a slow one
// holds up none, and serves the counts.
func load(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	rate := fs.Int("rate", 50, "requests a `second`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 || *rate < 1 || *rate > 10_000 {
		return errors.New("usage: shop load [-rate N] URL")
	}
	c := newCaller(http.MethodGet, fs.Arg(0))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/json")
		_ = json.NewEncoder(w).Encode(c.tally.read())
	})
	go func() {
		tick := time.NewTicker(time.Second / time.Duration(*rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				go c.call(ctx)
			}
		}
	}()
	return listen(ctx, ":8090", mux)
}
