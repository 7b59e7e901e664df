package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// churn changes the mesh at a rate: pods come and go, become ready and unready.
// Each second a weight is changed as well; how long that takes to reach every proxy
// shows whether the operator keeps up.
type churn struct {
	bed *bed
	// rate is pods changed in a second, for how long.
	rate int
	long time.Duration
	// visit has a client connect and drop each second, too.
	visit bool

	changes atomic.Int64
}

// sample is one look at the operator, and how long the weight before it took.
type sample struct {
	At     time.Duration `json:"at"`
	LastMS float64       `json:"lastMS"`
	RSS    int64         `json:"rss"`
	Vitals vitals        `json:"vitals"`
}

// endurance is what came of a churn.
type endurance struct {
	Changes int `json:"changes"`
	// P50MS and P99MS are over all proxies and weights.
	P50MS   float64  `json:"p50MS"`
	P99MS   float64  `json:"p99MS"`
	CPUMS   float64  `json:"cpuMS"`
	Samples []sample `json:"samples"`
}

// run goes on for as long as it is to, then takes away what it has made, and looks
// every so often, and before and after.
func (c *churn) run(ctx context.Context, every time.Duration, tell func(sample)) (endurance, error) {
	var out endurance
	if c.bed.cluster.size.Services < 2+writers {
		return out, fmt.Errorf("%d Services; a churn needs at least %d", c.bed.cluster.size.Services, 2+writers)
	}
	began := time.Now()
	cpu, err := c.bed.operator.cpu()
	if err != nil {
		return out, err
	}
	look := func(lastMS float64) error {
		v, err := c.bed.operator.vitals(ctx, true)
		if err != nil {
			return err
		}
		rss, err := c.bed.operator.resident()
		if err != nil {
			return err
		}
		s := sample{At: time.Since(began), LastMS: lastMS, RSS: rss, Vitals: v}
		out.Samples = append(out.Samples, s)
		tell(s)
		return nil
	}
	if err := look(0); err != nil {
		return out, err
	}
	working, stop := context.WithTimeout(ctx, c.long)
	defer stop()
	failed := make(chan error, writers)
	for i := range writers {
		go func() { failed <- c.write(working, ctx, i) }()
	}
	var delays []float64
	next := began.Add(every)
	for i := 0; working.Err() == nil; i++ {
		second := time.NewTimer(time.Second)
		waits, err := c.probe(ctx, i)
		if err != nil {
			stop()
			return out, errors.Join(err, drain(failed))
		}
		delays = append(delays, waits...)
		if time.Now().After(next) {
			next = next.Add(every)
			if err := look(slices.Max(waits)); err != nil {
				stop()
				return out, errors.Join(err, drain(failed))
			}
		}
		select {
		case <-second.C:
		case <-working.Done():
		}
		second.Stop()
	}
	if err := drain(failed); err != nil {
		return out, err
	}
	after, err := c.bed.operator.cpu()
	if err != nil {
		return out, err
	}
	slices.Sort(delays)
	out.Changes, out.CPUMS = int(c.changes.Load()), milliseconds(after-cpu)
	out.P50MS, out.P99MS = at(delays, 0.5), at(delays, 0.99)
	if _, err := c.bed.fleet.await(ctx, 0, syncQuiet); err != nil {
		return out, err
	}
	first := out.Samples[0].Vitals
	if _, err := c.bed.operator.until(ctx, "the end of the churn", false, func(v vitals) bool {
		return v.Connected == first.Connected && v.Goroutines <= first.Goroutines && v.Descriptors <= first.Descriptors
	}); err != nil {
		return out, err
	}
	return out, look(0)
}

// writers change pods side by side, each those of Services of its own.
const writers = 8

func drain(failed <-chan error) error {
	var all []error
	for range writers {
		all = append(all, <-failed)
	}
	return errors.Join(all...)
}

// write changes pods until the context of the work ends: one becomes unready and
// ready again, then one more comes and goes. What it has made it takes away.
func (c *churn) write(working, ctx context.Context, writer int) error {
	tick := time.NewTicker(time.Second * writers / time.Duration(c.rate))
	defer tick.Stop()
	services := c.bed.cluster.size.Services
	own := (services - 2 - writer + writers - 1) / writers
	turn := func(i int) error {
		// Services 0 and 1 are those of the split, whose weights are timed.
		service := 2 + writer + i/4%own*writers
		if i%4 < 2 {
			return c.bed.ready(ctx, service, i%4 == 1)
		}
		return c.bed.surplus(ctx, service, churned(services, writer), i%4 == 2)
	}
	for i := 0; ; i++ {
		select {
		case <-working.Done():
			for ; i%4 != 0; i++ { // to the end of a round
				if err := turn(i); err != nil {
					return err
				}
			}
			return nil
		case <-tick.C:
		}
		if err := turn(i); err != nil {
			return err
		}
		c.changes.Add(1)
	}
}

// churned is the number of the pod that a writer makes and takes away.
func churned(services, writer int) int { return 4*services*podsEach + writer }

// ready sets an endpoint of the Service.
func (b *bed) ready(ctx context.Context, service int, ready bool) error {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta(serviceName(service))}
	if err := b.cluster.client.Get(ctx, client.ObjectKeyFromObject(slice), slice); err != nil {
		return err
	}
	slice.Endpoints[0].Conditions.Ready = &ready
	return b.cluster.client.Update(ctx, slice)
}

// surplus adds a pod to the Service or takes it away.
func (b *bed) surplus(ctx context.Context, service, number int, there bool) error {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta(serviceName(service))}
	if err := b.cluster.client.Get(ctx, client.ObjectKeyFromObject(slice), slice); err != nil {
		return err
	}
	if !there {
		slice.Endpoints = slices.DeleteFunc(slice.Endpoints, func(e discoveryv1.Endpoint) bool { return e.TargetRef.Name == podName(number) })
		if err := b.cluster.client.Update(ctx, slice); err != nil {
			return err
		}
		gone := &corev1.Pod{ObjectMeta: meta(podName(number))}
		return b.cluster.client.Delete(ctx, gone, client.GracePeriodSeconds(0))
	}
	if err := b.cluster.createPodOf(ctx, number, service); err != nil {
		return err
	}
	ready := true
	slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
		Addresses: []string{podIP(number)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: podReference(number),
	})
	return b.cluster.client.Update(ctx, slice)
}

// probe changes a weight and returns how long each proxy waited for it.
func (c *churn) probe(ctx context.Context, i int) ([]float64, error) {
	patch := fmt.Appendf(nil, `{"spec":{"backends":[{"service":%q,"weight":90},{"service":%q,"weight":%d}]}}`, serviceName(0), serviceName(1), 11+i%50)
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "split"}}
	c.bed.fleet.mark()
	began := time.Now()
	if err := c.bed.cluster.client.Patch(ctx, split, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return nil, err
	}
	heard, err := c.bed.fleet.awaitTyped(ctx, xds.TypeVirtualHost, len(c.bed.fleet.proxies))
	if err != nil {
		return nil, fmt.Errorf("a weight among %d changes: %w", c.changes.Load(), err)
	}
	var out []float64
	for _, when := range heard {
		out = append(out, milliseconds(when.Sub(began)))
	}
	if c.visit {
		p := c.bed.twin(i)
		if err := p.open(ctx); err != nil {
			return nil, err
		}
		var raw received
		err := errors.Join(p.stream.RecvMsg(&raw), p.conn.Close())
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// trend is by what share the median of the last third of the samples is above that
// of the first, the first and last sample left out: the one is from before the
// work, the other from after it.
func trend(samples []sample, of func(sample) float64) float64 {
	if len(samples) < 8 {
		return 0
	}
	inner := samples[1 : len(samples)-1]
	median := func(part []sample) float64 {
		var values []float64
		for _, s := range part {
			values = append(values, of(s))
		}
		slices.Sort(values)
		return at(values, 0.5)
	}
	third := len(inner) / 3
	before := median(inner[:third])
	if before == 0 {
		return 0
	}
	return median(inner[len(inner)-third:])/before - 1
}
