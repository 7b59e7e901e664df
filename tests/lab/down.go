package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// down stops what up started, newest first, and takes away mounts, network
// and state. Cached binaries stay.
func down(ctx context.Context, l *lab, _ []string) error {
	list := l.processes()
	if _, ok := l.running(list[1]); ok {
		l.stepf("removing pods")
		// Errors don't matter here: what is left is taken away below.
		_ = run(ctx, l.kubernetes("kubectl"), "--kubeconfig", l.kubeconfig(), "delete", "mutatingwebhookconfigurations", "--all", "--timeout=5s")
	}
	var networks []string
	for _, p := range slices.Backward(list) {
		if p.name == "containerd" {
			networks = l.podNetworks(ctx)
			l.removePods(ctx)
		}
		if err := l.stop(ctx, p); err != nil {
			return err
		}
	}
	if err := l.unmount(); err != nil {
		return err
	}
	for _, network := range networks {
		_ = run(ctx, "ip", "netns", "del", network)
	}
	for _, command := range [][]string{
		{"ip", "route", "del", podCIDR, "via", labSide},
		{"ip", "route", "del", serviceIPs, "via", labSide},
		{"ip", "link", "del", "heddle-lab0"},
		{"ip", "netns", "del", netns},
	} {
		// Gone already is as good.
		_ = run(ctx, command[0], command[1:]...)
	}
	l.stepf("removing %s", l.state)
	return os.RemoveAll(l.state)
}

// podNetworks names the network namespaces that pods of the lab are in. The
// machine may have others of such names.
func (l *lab) podNetworks(ctx context.Context) []string {
	ctr := []string{"-a", l.path("containerd.sock"), "-n", "k8s.io", "containers"}
	list, err := output(ctx, "ctr", append(ctr, "list", "-q")...)
	if err != nil {
		return nil // containerd has ended already
	}
	var networks []string
	for _, id := range strings.Fields(list) {
		info, err := output(ctx, "ctr", append(ctr, "info", id)...)
		if err != nil {
			continue
		}
		networks = append(networks, networksOf(info)...)
	}
	slices.Sort(networks)
	return slices.Compact(networks)
}

// networksOf reads from what ctr says of a container which network namespace
// it was given by name.
func networksOf(info string) []string {
	var container struct {
		Spec struct {
			Linux struct{ Namespaces []struct{ Type, Path string } }
		}
	}
	if err := json.Unmarshal([]byte(info), &container); err != nil {
		return nil
	}
	var names []string
	for _, n := range container.Spec.Linux.Namespaces {
		if n.Type == "network" && path.Base(path.Dir(n.Path)) == "netns" {
			names = append(names, path.Base(n.Path))
		}
	}
	return names
}

// removePods ends every container with its shim.
func (l *lab) removePods(ctx context.Context) {
	ctr := []string{"-a", l.path("containerd.sock"), "-n", "k8s.io"}
	list, err := output(ctx, "ctr", append(ctr, "tasks", "list", "-q")...)
	if err != nil || list == "" {
		return
	}
	l.stepf("ending %d containers", len(strings.Fields(list)))
	for _, id := range strings.Fields(list) {
		_ = run(ctx, "ctr", append(ctr, "tasks", "kill", "-s", "SIGKILL", id)...)
	}
	_ = await(ctx, "containers end", 15*time.Second, func(ctx context.Context) error {
		for _, id := range strings.Fields(list) {
			_ = run(ctx, "ctr", append(ctr, "tasks", "delete", id)...)
		}
		left, err := output(ctx, "ctr", append(ctr, "tasks", "list", "-q")...)
		if err == nil && left != "" {
			err = errors.New("some are left")
		}
		return err
	})
}

// unmount takes away what containers and volumes have mounted under the state.
func (l *lab) unmount() error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], l.state+"/") {
			points = append(points, fields[1])
		}
	}
	slices.Sort(points)
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}
