package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	for _, p := range slices.Backward(list) {
		if p.name == "containerd" {
			l.removePods(ctx)
		}
		if err := l.stop(ctx, p); err != nil {
			return err
		}
	}
	if err := l.unmount(); err != nil {
		return err
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
