// Command shop is the application of the demonstration and of the tests: a
// server with a version, a client that asks steadily and counts, ones that ask
// a number of times and tell, and one that listens on the wire.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2:])
	case "load":
		err = load(os.Args[2:])
	case "get":
		err = get(os.Args[2:])
	case "grpc":
		err = call(os.Args[2:])
	case "tcp":
		err = tcp(os.Args[2:])
	case "capture":
		err = capture(os.Args[2:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: shop serve | load | get | grpc | tcp | capture (each with -h)")
	os.Exit(2)
}

const shutdownTimeout = 10 * time.Second
