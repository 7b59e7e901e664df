package main

import (
	"context"
	"os"
)

// network makes the lab's namespace: a veth pair whose far end stays inside
// serves as eth0 of the node, another leads to the host so that kubectl and
// tests reach pods and Services from there. There is no default route: the
// lab reaches nothing but itself.
func (l *lab) network(ctx context.Context) error {
	if _, err := os.Stat("/run/netns/" + netns); os.IsNotExist(err) {
		if err := run(ctx, "ip", "netns", "add", netns); err != nil {
			return err
		}
	}
	if inside(ctx, "ip", "link", "show", "eth0") != nil {
		if err := inside(ctx, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0p"); err != nil {
			return err
		}
	}
	if inside(ctx, "ip", "link", "show", "host0") != nil {
		_ = run(ctx, "ip", "link", "del", "heddle-lab0")
		if err := run(ctx, "ip", "link", "add", "heddle-lab0", "type", "veth", "peer", "name", "host0", "netns", netns); err != nil {
			return err
		}
	}
	for _, command := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "set", "eth0p", "up"},
		{"ip", "addr", "replace", nodeIP + "/24", "dev", "eth0"},
		{"ip", "link", "set", "eth0", "up"},
		{"ip", "addr", "replace", labSide + "/30", "dev", "host0"},
		{"ip", "link", "set", "host0", "up"},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1"},
		{"ip", "route", "replace", serviceIPs, "dev", "eth0"},
	} {
		if err := inside(ctx, command...); err != nil {
			return err
		}
	}
	for _, command := range [][]string{
		{"ip", "addr", "replace", hostSide + "/30", "dev", "heddle-lab0"},
		{"ip", "link", "set", "heddle-lab0", "up"},
		{"ip", "route", "replace", podCIDR, "via", labSide},
		{"ip", "route", "replace", serviceIPs, "via", labSide},
	} {
		if err := run(ctx, command[0], command[1:]...); err != nil {
			return err
		}
	}
	return nil
}
