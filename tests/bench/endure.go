package main

import (
	"context"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// bed is an operator with its proxies, on which clients misbehave.
type bed struct {
	cluster  *cluster
	operator *process
	fleet    *fleet
	binary   string
	ports    []string
}

// prepare starts everything and has all proxies connected, none of which has more
// to hear.
func prepare(ctx context.Context, o options, s size, say func(string, ...any)) (b *bed, err error) {
	b = &bed{}
	defer func() {
		if err != nil {
			b.stop()
			b = nil
		}
	}()
	if b.cluster, err = startCluster(o.assets, s, say); err != nil {
		return b, err
	}
	if err = b.cluster.seed(ctx); err != nil {
		return b, err
	}
	if b.binary, err = b.cluster.program(ctx, o.binary); err != nil {
		return b, err
	}
	if b.ports, err = freePorts(ctx, 5); err != nil {
		return b, err
	}
	workloads(s.Services)
	var address string
	if b.operator, address, err = b.cluster.operatorAt(ctx, b.binary, b.ports); err != nil {
		return b, err
	}
	roots, err := b.cluster.roots(ctx)
	if err != nil {
		return b, err
	}
	proxies, err := b.cluster.proxies(ctx, o.scoped)
	if err != nil {
		return b, err
	}
	b.fleet = &fleet{target: address, roots: roots, server: heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc", proxies: proxies}
	for _, p := range proxies {
		p.holds = map[string]map[string]string{}
	}
	if err = b.fleet.connect(ctx); err != nil {
		return b, err
	}
	_, err = b.fleet.await(ctx, len(proxies), syncQuiet)
	return b, err
}

func (b *bed) stop() {
	if b.fleet != nil {
		b.fleet.close()
	}
	if b.operator != nil {
		b.operator.stop()
	}
	if b.cluster != nil {
		_ = b.cluster.stop()
	}
}

// twin returns a proxy of the same pod that is no part of the fleet.
func (b *bed) twin(i int) *proxy {
	of := b.fleet.proxies[i%len(b.fleet.proxies)]
	alone := &fleet{target: b.fleet.target, roots: b.fleet.roots, server: b.fleet.server}
	return &proxy{
		number: of.number, namespace: of.namespace, pod: of.pod, uid: of.uid, account: of.account,
		token: of.token, csr: of.csr, names: of.names, fleet: alone,
	}
}

// flip takes an endpoint out and in again, so many times, and returns how long each
// proxy that asks for it had to wait for each, in order.
func (b *bed) flip(ctx context.Context, service, times int) ([]float64, error) {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta(serviceName(service))}
	if err := b.cluster.client.Get(ctx, client.ObjectKeyFromObject(slice), slice); err != nil {
		return nil, err
	}
	concerned := b.fleet.asking(xds.TypeEndpoints, service)
	var delays []float64
	for range times {
		ready := !*slice.Endpoints[0].Conditions.Ready
		slice.Endpoints[0].Conditions.Ready = &ready
		b.fleet.mark()
		began := time.Now()
		if err := b.cluster.client.Update(ctx, slice); err != nil {
			return nil, err
		}
		all, err := b.fleet.await(ctx, concerned, 0)
		if err != nil {
			return nil, err
		}
		for _, when := range proxiesOf(all) {
			delays = append(delays, milliseconds(when.Sub(began)))
		}
	}
	slices.Sort(delays)
	return delays, nil
}

// stalls is what became of clients that stopped reading, and of the others.
type stalls struct {
	Clients int `json:"clients"`
	CutOff  int `json:"cutOff"`
	// Before and Meanwhile are what the others waited for an endpoint.
	BeforeP99MS    float64 `json:"beforeP99MS"`
	MeanwhileP99MS float64 `json:"meanwhileP99MS"`
	Changes        int     `json:"changes"`
	Vitals         vitals  `json:"vitals"`
}

// stall connects clients that ask for everything and read nothing, goes on changing
// things for the others, and awaits that the clients are cut off.
func (b *bed) stall(ctx context.Context, clients, changes int) (stalls, error) {
	start, err := b.operator.vitals(ctx, true)
	if err != nil {
		return stalls{}, err
	}
	before, err := b.flip(ctx, 1, changes)
	if err != nil {
		return stalls{}, err
	}
	var open []*proxy
	defer func() {
		for _, p := range open {
			_ = p.conn.Close()
		}
	}()
	for i := range clients {
		p := b.twin(i)
		p.window = 64 << 10
		if err := p.open(ctx); err != nil {
			return stalls{}, err
		}
		open = append(open, p)
	}
	if _, err := b.operator.until(ctx, "connecting clients that don't read", false, func(v vitals) bool { return v.Connected == start.Connected+clients }); err != nil {
		return stalls{}, err
	}
	if _, err := b.fleet.await(ctx, 0, syncQuiet); err != nil {
		return stalls{}, err
	}
	meanwhile, err := b.flip(ctx, 1, changes)
	if err != nil {
		return stalls{}, err
	}
	cut, err := b.operator.until(ctx, "cutting off clients that don't read", false, func(v vitals) bool {
		return v.Stalled-start.Stalled == clients && v.Connected == start.Connected
	})
	return stalls{
		Clients: clients, CutOff: cut.Stalled - start.Stalled, Changes: changes,
		BeforeP99MS: at(before, 0.99), MeanwhileP99MS: at(meanwhile, 0.99), Vitals: cut,
	}, err
}

// storm is what clients left behind that connected and dropped.
type storm struct {
	Clients       int `json:"clients"`
	Before, After vitals
}

// drop has so many clients connect, ask for everything, and go away: a third at
// once, a third after the first response, a third with responses unread.
func (b *bed) drop(ctx context.Context, clients int) (storm, error) {
	before, err := b.operator.vitals(ctx, true)
	if err != nil {
		return storm{}, err
	}
	err = b.cluster.each(ctx, "clients that connect and drop", clients, func(ctx context.Context, i int) error {
		p := b.twin(i)
		if err := p.open(ctx); err != nil {
			return err
		}
		switch i % 3 {
		case 1:
			var raw received
			if err := p.stream.RecvMsg(&raw); err != nil {
				return err
			}
		case 2:
			if _, err := p.stream.Header(); err != nil {
				return err
			}
		}
		return p.conn.Close()
	})
	if err != nil {
		return storm{}, err
	}
	after, err := b.operator.until(ctx, "forgetting clients that have gone", true, func(v vitals) bool {
		return v.Connected == before.Connected && v.Goroutines <= before.Goroutines && v.Descriptors <= before.Descriptors
	})
	return storm{Clients: clients, Before: before, After: after}, err
}

// reunion is what proxies were sent that came back to a restarted operator.
type reunion struct {
	Proxies int `json:"proxies"`
	// Known are the resources that they said they have. Sent are those that they
	// were sent, Certificates how many of them are their own, which are made anew
	// for each stream.
	Known        int     `json:"known"`
	Sent         int     `json:"sent"`
	Certificates int     `json:"certificates"`
	Bytes        int     `json:"bytes"`
	LastMS       float64 `json:"lastMS"`
}

// restart ends the operator, starts another in its place, and has all proxies
// connect at once with what they have.
func (b *bed) restart(ctx context.Context) (reunion, error) {
	b.fleet.close()
	b.operator.stop()
	var err error
	if b.operator, _, err = b.cluster.operatorAt(ctx, b.binary, b.ports); err != nil {
		return reunion{}, err
	}
	out := reunion{Proxies: len(b.fleet.proxies)}
	for _, p := range b.fleet.proxies {
		for _, names := range p.holds {
			out.Known += len(names)
		}
	}
	b.fleet.mark()
	b.fleet.resources.Store(0)
	b.fleet.certificates.Store(0)
	began := time.Now()
	if err := b.fleet.connect(ctx); err != nil {
		return reunion{}, err
	}
	all, err := b.fleet.await(ctx, len(b.fleet.proxies), syncQuiet)
	if err != nil {
		return reunion{}, err
	}
	for _, r := range all {
		out.Bytes += r.size
		out.LastMS = max(out.LastMS, milliseconds(r.at.Sub(began)))
	}
	out.Sent, out.Certificates = int(b.fleet.resources.Load()), int(b.fleet.certificates.Load())
	return out, nil
}
