package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stats counts answers. Durations are of answered requests, in milliseconds.
type stats struct {
	Total     int            `json:"total"`
	ByCode    map[string]int `json:"byCode"`
	ByVersion map[string]int `json:"byVersion"`
	Errors    int            `json:"errors"`
	// LastError is what went wrong last: an error, or what a proxy wrote that
	// answered in the app's place.
	LastError string `json:"lastError,omitempty"`
	// Failed is by version when its answers were errors.
	Failed map[string]spell `json:"failed,omitempty"`
	P50    float64          `json:"p50"`
	P99    float64          `json:"p99"`
	// Seconds is how long it took, of get only.
	Seconds float64 `json:"seconds,omitempty"`
}

// spell is from a first to a last answer.
type spell struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

type counter struct {
	mu        sync.Mutex
	stats     stats
	durations []time.Duration
}

func newCounter() *counter {
	return &counter{stats: newStats()}
}

func newStats() stats {
	return stats{ByCode: map[string]int{}, ByVersion: map[string]int{}, Failed: map[string]spell{}}
}

// keep bounds what is remembered for the quantiles.
const keep = 20000

func (c *counter) add(code int, version string, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Total++
	if err != nil {
		c.stats.Errors++
		c.stats.LastError = err.Error()
		return
	}
	c.stats.ByCode[strconv.Itoa(code)]++
	if version != "" {
		c.stats.ByVersion[version]++
		if code >= http.StatusInternalServerError {
			now := time.Now()
			s, seen := c.stats.Failed[version]
			if !seen {
				s.First = now
			}
			s.Last = now
			c.stats.Failed[version] = s
		}
	}
	if len(c.durations) == keep {
		c.durations = c.durations[keep/2:]
	}
	c.durations = append(c.durations, took)
}

func (c *counter) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.LastError = what
}

func (c *counter) read() stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.stats
	out.ByCode, out.ByVersion, out.Failed = maps.Clone(c.stats.ByCode), maps.Clone(c.stats.ByVersion), maps.Clone(c.stats.Failed)
	sorted := slices.Sorted(slices.Values(c.durations))
	if len(sorted) > 0 {
		out.P50 = milliseconds(sorted[len(sorted)/2])
		out.P99 = milliseconds(sorted[len(sorted)*99/100])
	}
	return out
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats = newStats()
	c.durations = nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// headers is a flag that can be given several times as name:value.
type headers map[string]string

func (h headers) String() string { return fmt.Sprint(map[string]string(h)) }

func (h headers) Set(text string) error {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("%q is not name:value", text)
	}
	h[name] = strings.TrimSpace(value)
	return nil
}

type asker struct {
	client  *http.Client
	method  string
	url     string
	headers headers
}

func newAsker(http2 bool) *asker {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	if http2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &asker{client: &http.Client{Transport: transport, Timeout: 30 * time.Second}, method: http.MethodGet, headers: headers{}}
}

func (a *asker) ask(ctx context.Context, to *counter) {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, a.method, a.url, http.NoBody)
	if err != nil {
		to.add(0, "", 0, err)
		return
	}
	for name, value := range a.headers {
		request.Header.Set(name, value)
	}
	response, err := a.client.Do(request)
	if err != nil {
		if ctx.Err() == nil {
			to.add(0, "", 0, err)
		}
		return
	}
	defer response.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(response.Body, 256))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		to.add(0, "", 0, err)
		return
	}
	version := response.Header.Get("X-Version")
	if version == "" && response.StatusCode >= http.StatusInternalServerError {
		to.note(fmt.Sprintf("%s %s: %s", time.Now().Format(time.StampMilli), response.Status, begin))
	}
	to.add(response.StatusCode, version, time.Since(start), nil)
}

func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	n := flags.Int("n", 1, "number of requests")
	workers := flags.Int("c", 8, "requests at a time")
	rate := flags.Float64("rps", 0, "requests per second; 0 is as fast as they go")
	http2 := flags.Bool("http2", false, "use HTTP/2")
	method := flags.String("method", http.MethodGet, "method")
	set := headers{}
	flags.Var(set, "H", "header name:value; may be given several times")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one URL")
	}
	a := newAsker(*http2)
	a.method, a.url, a.headers = *method, flags.Arg(0), set
	to := newCounter()
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range *workers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(*n); i = next.Add(1) {
				if *rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(float64(i) / *rate * float64(time.Second)))))
				}
				a.ask(context.Background(), to)
			}
		})
	}
	group.Wait()
	out := to.read()
	out.Seconds = time.Since(start).Seconds()
	return json.NewEncoder(os.Stdout).Encode(out)
}

func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	url := flags.String("u", env("URL", ""), "URL to ask (URL)")
	rate := flags.Float64("rps", 20, "requests per second")
	method := flags.String("method", http.MethodGet, "method")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *url == "" || *rate <= 0 {
		return errors.New("-u and a positive -rps are needed")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := newAsker(false)
	a.method, a.url = *method, *url
	to := newCounter()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(to.read())
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { to.reset() })
	server := &http.Server{Addr: ":8090", Handler: mux, ReadHeaderTimeout: shutdownTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	tick := time.NewTicker(time.Duration(float64(time.Second) / *rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return server.Close()
		case err := <-failed:
			return err
		case <-tick.C:
			go a.ask(ctx, to)
		}
	}
}

func tcp(args []string) error {
	flags := flag.NewFlagSet("tcp", flag.ContinueOnError)
	n := flags.Int("n", 1, "number of connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one host:port")
	}
	for range *n {
		if err := echoOnce(flags.Arg(0)); err != nil {
			return err
		}
	}
	fmt.Printf("%d connections echoed\n", *n)
	return nil
}

func echoOnce(address string) error {
	conn, err := (&net.Dialer{Timeout: shutdownTimeout}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(shutdownTimeout)); err != nil {
		return err
	}
	const text = "heddle\n"
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("sent %q, got back %q", text, back)
	}
	return nil
}
