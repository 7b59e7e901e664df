// Command lab runs a real one-node Kubernetes on a bare Debian machine, in a
// network namespace of its own: etcd, API server, controller manager,
// scheduler, containerd, kubelet, kube-proxy and CoreDNS. Binaries are built
// once and cached outside the tree; images are made without Docker.
//
//	lab up | down | status | images | ecosystem | kubeconfig | envtest-assets
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

var commands = []struct {
	name, about string
	run         func(context.Context, *lab, []string) error
}{
	{"up", "start the cluster, or what of it is not running", up},
	{"down", "stop it and take away everything it started", down},
	{"status", "say what of it runs; exit 1 if something does not", status},
	{"images", "make Heddle's images and bring them into the cluster", images},
	{"ecosystem", "bring stock Flagger and Argo Rollouts into the cluster, or those named", installEcosystem},
	{"kubeconfig", "print the path of its kubeconfig", kubeconfig},
	{"envtest-assets", "print a folder with kube-apiserver, etcd and kubectl", envtestAssets},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		usage()
	}
	i := slices.IndexFunc(commands, func(c struct {
		name, about string
		run         func(context.Context, *lab, []string) error
	},
	) bool {
		return c.name == os.Args[1]
	})
	if i < 0 {
		usage()
	}
	l, err := newLab()
	if err == nil {
		err = commands[i].run(ctx, l, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run ./tests/lab <command>")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-15s %s\n", c.name, c.about)
	}
	os.Exit(2)
}
