package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// call makes gRPC calls over one connection and prints how many of them each
// version answered.
func call(args []string) error {
	flags := flag.NewFlagSet("grpc", flag.ContinueOnError)
	n := flags.Int("n", 1, "number of calls")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one host:port")
	}
	conn, err := grpc.NewClient("passthrough:///"+flags.Arg(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client, versions := healthv1.NewHealthClient(conn), map[string]int{}
	for range *n {
		var header metadata.MD
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		_, err := client.Check(ctx, &healthv1.HealthCheckRequest{}, grpc.Header(&header))
		cancel()
		if err != nil {
			return err
		}
		for _, version := range header.Get("x-version") {
			versions[version]++
		}
	}
	fmt.Printf("%d calls answered, by version %v\n", *n, versions)
	return nil
}
