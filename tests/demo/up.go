package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// up shows everything, in order. It leaves the mesh running.
func (d *demo) up(ctx context.Context) error {
	d.say.linef("Heddle's demo: a real cluster, a mesh, a split, access rules, a good and a bad release.")
	if err := d.install(ctx); err != nil {
		return err
	}
	return d.tour(ctx)
}

// show is up on a cluster that has Heddle already.
func (d *demo) show(ctx context.Context) error {
	if err := d.find(ctx); err != nil {
		return err
	}
	if err := d.buildCLI(ctx); err != nil {
		return err
	}
	return d.tour(ctx)
}

func (d *demo) tour(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.openShop, d.showSplit, d.showAccess, d.showCanary, d.showCounts, d.showMemory, d.showCheck,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.say.step(fmt.Sprintf("Done in %v. The mesh goes on running.", time.Since(d.say.start).Round(time.Second)))
	d.say.tellf("Try next:")
	d.say.tellf("  export KUBECONFIG=%s PATH=$PWD/bin:$PATH", d.kubeconfig)
	d.say.tellf("  heddle check")
	d.say.tellf("  heddle proxy status -n shop")
	d.say.tellf("  kubectl -n shop get trafficsplits,traffictargets,canaries")
	d.say.tellf("  kubectl -n shop edit trafficsplit cart          # other weights")
	d.say.tellf("  kubectl -n shop set env deployment/checkout VERSION=v4 ERROR_RATE=0")
	d.say.tellf("  heddle canary get checkout -n shop -w           # and watch it being released")
	d.say.tellf("  make demo-down                                  # when you have seen enough")
	if len(d.missing) > 0 {
		return fmt.Errorf("not everything could be shown: %s", strings.Join(d.missing, ", "))
	}
	return nil
}

// showCounts prints what the client saw since the shop was open.
func (d *demo) showCounts(ctx context.Context) error {
	d.say.step("What frontend saw of checkout, over both releases")
	t, err := d.loadStats(ctx)
	if err != nil {
		return err
	}
	t = t.since(d.opened)
	for _, version := range sorted(t.ByVersion) {
		d.say.tellf("%6d requests answered by %s", t.ByVersion[version], version)
	}
	others := t.unanswered()
	d.say.tellf("%6d requests in all, %d of them failed", t.Total, t.failed())
	d.say.tellf("%6d of these by the bad version's own answers, %d otherwise", t.failed()-others, others)
	if others != 0 {
		return fmt.Errorf("%d requests got no answer of the app's: by code %v, without an answer %d %s", others, t.ByCode, t.Errors, t.LastError)
	}
	return nil
}

// showMemory prints what the mesh costs.
func (d *demo) showMemory(ctx context.Context) error {
	d.say.step("Memory, as kubelet counts it")
	for _, c := range []struct{ namespace, container, name string }{
		{shop, "heddle-proxy", "a sidecar"}, {system, "heddle-operator", "the operator"},
	} {
		bytes, err := d.memory(ctx, c.namespace, c.container)
		if err != nil || len(bytes) == 0 {
			// The numbers are not the mesh's work: without them the demo
			// has still shown all it set out to.
			d.say.tellf("%s: not known (%v)", c.name, err)
			continue
		}
		d.say.tellf("%-13s %s (median of %d; largest %s)", c.name+":", mebibytes(bytes[len(bytes)/2]), len(bytes), mebibytes(bytes[len(bytes)-1]))
	}
	return nil
}

func (d *demo) showCheck(ctx context.Context) error {
	d.say.step("$ heddle check")
	if err := d.display(ctx, d.cli, "check"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.missing = append(d.missing, "a mesh that passes heddle check")
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
