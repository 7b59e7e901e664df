package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// answer is what the server says of itself.
type answer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Pod     string `json:"pod"`
	Method  string `json:"method"`
	Path    string `json:"path"`
}

// handler answers every request, a share of them with 500.
func handler(self answer, errorRate float64, dice func() float64) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a := self
		a.Method, a.Path = r.Method, r.URL.Path
		w.Header().Set("content-type", "application/json")
		if dice() < errorRate {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(a)
	})
	return mux
}

func serve(ctx context.Context, getenv func(string) string) error {
	errorRate := 0.0
	if s := getenv("ERROR_RATE"); s != "" {
		var err error
		if errorRate, err = strconv.ParseFloat(s, 64); err != nil || errorRate < 0 || errorRate > 1 {
			return fmt.Errorf("ERROR_RATE %q is no share", s)
		}
	}
	self := answer{Name: getenv("NAME"), Version: getenv("VERSION"), Pod: getenv("HOSTNAME")}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return listen(ctx, ":8080", handler(self, errorRate, rand.Float64)) })
	group.Go(func() error { return listenGRPC(ctx, ":9090") })
	group.Go(func() error { return listenEcho(ctx, ":7070") })
	return group.Wait()
}

// listen serves HTTP/1.1 and h2c until it is told to stop; then it goes on
// answering for as long as callers may not have heard of it.
func listen(ctx context.Context, addr string, h http.Handler) error {
	const grace = 5 * time.Second
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Addr: addr, Handler: h, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.ListenAndServe() }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", addr, err)
	case <-ctx.Done():
	}
	time.Sleep(grace)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return s.Shutdown(stop)
}
