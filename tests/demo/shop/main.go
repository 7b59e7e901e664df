// Command shop is every app of the demo: a server that says who it is, and a
// client that counts what it is answered.
//
//	shop serve                  HTTP/1.1 and h2c on :8080, gRPC health on :9090, an echo on :7070;
//	                            NAME, VERSION and ERROR_RATE (0 to 1) from the environment
//	shop get -n 100 URL         a number of requests, and the counts as JSON
//	shop load -rate 50 URL      requests for ever; GET :8090/stats has the counts
//
// It knows nothing of the mesh.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: shop serve|get|load")
	}
	switch args[0] {
	case "serve":
		return serve(ctx, os.Getenv)
	case "get":
		return get(ctx, args[1:], os.Stdout)
	case "load":
		return load(ctx, args[1:])
	}
	return fmt.Errorf("unknown verb %q", args[0])
}
