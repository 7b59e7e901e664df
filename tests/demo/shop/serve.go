package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// answer is what the server says of itself.
type answer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Pod     string `json:"pod"`
	Method  string `json:"method"`
	Path    string `json:"path"`
}

// handler answers every request, a percentage of them with 500.
func handler(self answer, errorPercent int, dice func() int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a := self
		a.Method, a.Path = r.Method, r.URL.Path
		w.Header().Set("content-type", "application/json")
		if dice() < errorPercent {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(a)
	})
	return mux
}

func serve(ctx context.Context, getenv func(string) string) error {
	errorPercent := 0
	if s := getenv("ERROR_PERCENT"); s != "" {
		var err error
		if errorPercent, err = strconv.Atoi(s); err != nil || errorPercent < 0 || errorPercent > 100 {
			return fmt.Errorf("ERROR_PERCENT %q is no percentage", s)
		}
	}
	self := answer{Name: getenv("NAME"), Version: getenv("VERSION"), Pod: getenv("HOSTNAME")}
	return listen(ctx, ":8080", handler(self, errorPercent, func() int { return rand.IntN(100) }))
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
