package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// answer is what the server says of itself and of the request.
type answer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Pod     string `json:"pod"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Proto   string `json:"proto"`
	// Caller is the client certificate that the sidecar forwarded.
	Caller string `json:"caller,omitempty"`
}

func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("name", env("NAME", "shop"), "name that answers carry (NAME)")
	version := flags.String("version", env("VERSION", "v1"), "version that answers carry (VERSION)")
	errorRate := flags.Float64("error-rate", envFloat("ERROR_RATE"), "share of requests answered with 500 (ERROR_RATE)")
	latency := flags.Duration("latency", envDuration("LATENCY"), "time before an answer (LATENCY)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			return
		}
		if r.URL.Path == "/hangup/"+*version {
			panic(http.ErrAbortHandler) // closes the connection
		}
		time.Sleep(*latency)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Version", *version)
		if rand.Float64() < *errorRate { //nolint:gosec // not a secret
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(answer{
			Name: *name, Version: *version, Pod: os.Getenv("HOSTNAME"), Method: r.Method,
			Path: r.URL.Path, Proto: r.Proto, Caller: r.Header.Get("X-Forwarded-Client-Cert"),
		})
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	web := &http.Server{Addr: ":8080", Handler: handler, Protocols: protocols, ReadHeaderTimeout: shutdownTimeout}

	rpc := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, metadata.Pairs("x-version", *version)); err != nil {
			return nil, err
		}
		return handle(ctx, request)
	}))
	healthv1.RegisterHealthServer(rpc, health.NewServer())
	rpcListener, err := net.Listen("tcp", ":9090") //nolint:noctx // for the life of the program
	if err != nil {
		return err
	}
	echoListener, err := net.Listen("tcp", ":7070") //nolint:noctx // for the life of the program
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- web.ListenAndServe() }()
	go func() { failed <- rpc.Serve(rpcListener) }()
	go func() { failed <- echo(echoListener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	rpc.GracefulStop()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return web.Shutdown(ending)
}

func echo(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func envDuration(name string) time.Duration {
	value, err := time.ParseDuration(os.Getenv(name))
	if err != nil {
		return 0
	}
	return value
}

func envFloat(name string) float64 {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil {
		return 0
	}
	return value
}
