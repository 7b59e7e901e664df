package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const (
	// quiet is how long nobody must hear anything for a change to be over.
	quiet = 300 * time.Millisecond
	// syncQuiet is the same for the beginning.
	syncQuiet = time.Second
)

// event is one kind of change.
type event struct {
	name string
	// make writes it; i counts from 0 and makes each another than the last.
	make func(ctx context.Context, i int) error
	// concerned is how many proxies are to hear of it.
	concerned func(*fleet) int
}

func measure(ctx context.Context, o options, s size) (report, error) {
	say := saying(s)
	c, err := startCluster(o.assets, s, say)
	if err != nil {
		return report{}, err
	}
	defer func() { _ = c.stop() }()
	if err := c.seed(ctx); err != nil {
		return report{}, err
	}
	c.profileLocks = o.profiles != ""
	binary, err := c.program(ctx, o.binary)
	if err != nil {
		return report{}, err
	}
	operator, address, err := c.operator(ctx, binary)
	if err != nil {
		return report{}, err
	}
	defer operator.stop()
	workloads(s.Services)
	proxies, err := c.proxies(ctx, o.scoped)
	if err != nil {
		return report{}, err
	}
	roots, err := c.roots(ctx)
	if err != nil {
		return report{}, err
	}
	f := &fleet{target: address, roots: roots, server: heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc", proxies: proxies}
	defer f.close()
	r := report{Size: s.String(), Calls: o.scoped, Repeat: o.repeat}
	say("connecting %d proxies to the operator", len(proxies))
	profiled := operator.profile(ctx, o.profiles, "cpu", "profile?seconds=8")
	initial, err := synchronise(ctx, f, operator)
	if err != nil {
		return report{}, fmt.Errorf("%w\n%s", err, operator.tail())
	}
	if err := errors.Join(<-profiled, <-operator.profile(ctx, o.profiles, "heap", "heap")); err != nil {
		return report{}, fmt.Errorf("profile the operator: %w", err)
	}
	r.Rows = append(r.Rows, row{What: "initial sync", Heddle: initial})
	p := plan{Initial: f.sizesOf(0), Changes: map[string]change{}}
	for _, e := range c.events() {
		say("%s, %d times", e.name, o.repeat)
		figures, seen, err := e.measure(ctx, f, operator, o.repeat)
		if err != nil {
			return report{}, fmt.Errorf("%s: %w\n%s", e.name, err, operator.tail())
		}
		p.Changes[e.name] = seen
		r.Rows = append(r.Rows, row{What: e.name, Heddle: figures})
	}
	if err := <-operator.profile(ctx, o.profiles, "mutex", "mutex"); err != nil {
		return report{}, fmt.Errorf("profile the operator: %w", err)
	}
	f.close()
	operator.stop()
	if o.noFloor {
		return r, nil
	}
	return r, measureFloor(ctx, c, &r, p, o.repeat, say)
}

// compare measures this tree's operator and that of a revision, which stands in the
// floor's place.
func compare(ctx context.Context, o options, s size) (report, error) {
	dir, err := os.MkdirTemp("", "heddle-base")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "heddle-operator")
	if out, err := exec.CommandContext(ctx, "git", "worktree", "add", "--detach", tree, o.base).CombinedOutput(); err != nil {
		return report{}, fmt.Errorf("check out %s: %w\n%s", o.base, err, out)
	}
	defer func() {
		_ = exec.CommandContext(context.WithoutCancel(ctx), "git", "worktree", "remove", "--force", tree).Run() // it is in a folder that goes anyway
	}()
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/heddle-operator")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return report{}, fmt.Errorf("build the operator of %s: %w\n%s", o.base, err, out)
	}
	o.noFloor = true
	now, err := measure(ctx, o, s)
	if err != nil {
		return report{}, err
	}
	o.binary = binary
	base, err := measure(ctx, o, s)
	if err != nil {
		return report{}, fmt.Errorf("the operator of %s: %w", o.base, err)
	}
	now.Base = o.base
	for i := range now.Rows {
		now.Rows[i].Floor = base.Rows[i].Heddle
	}
	return now, nil
}

// synchronise connects all proxies and awaits that they have everything.
func synchronise(ctx context.Context, f *fleet, p *process) (figures, error) {
	before, err := p.cpu()
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	if err := f.connect(ctx); err != nil {
		return figures{}, err
	}
	all, err := f.await(ctx, len(f.proxies), syncQuiet)
	if err != nil {
		return figures{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return figures{}, err
	}
	peak, err := p.peak()
	last := began
	for _, at := range proxiesOf(all) {
		if at.After(last) {
			last = at
		}
	}
	return figures{
		LastMS: milliseconds(last.Sub(began)), CPUMS: milliseconds(after - before), PeakBytes: peak,
		BytesPerProxy: float64(f.bytes.Load()) / float64(len(f.proxies)), Proxies: len(f.proxies),
	}, err
}

// sizesOf are the responses that a proxy has had, in their order.
func (f *fleet) sizesOf(number int) []message {
	all, _ := f.received()
	var out []message
	for _, r := range all {
		if r.proxy == number {
			out = append(out, message{r.typed, r.size})
		}
	}
	return out
}

// measure makes the change so many times and returns what it cost, and what one
// proxy has heard of it.
func (e event) measure(ctx context.Context, f *fleet, p *process, repeat int) (figures, change, error) {
	if err := e.make(ctx, -1); err != nil { // what has to be there before
		return figures{}, change{}, err
	}
	if _, err := f.await(ctx, 0, syncQuiet); err != nil {
		return figures{}, change{}, err
	}
	before, err := p.cpu()
	if err != nil {
		return figures{}, change{}, err
	}
	var out figures
	var seen change
	var delays, lasts []float64
	bytes, concerned := 0, e.concerned(f)
	for i := range repeat {
		f.mark()
		began := time.Now()
		if err := e.make(ctx, i); err != nil {
			return figures{}, change{}, err
		}
		all, err := f.await(ctx, concerned, quiet)
		if err != nil {
			return figures{}, change{}, err
		}
		heard := proxiesOf(all)
		last := 0.0
		for _, at := range heard {
			delay := milliseconds(at.Sub(began))
			delays = append(delays, delay)
			last = max(last, delay)
		}
		lasts = append(lasts, last)
		out.Strays += len(heard) - concerned
		for _, r := range all {
			bytes += r.size
			if r.size > seen.Message.Size {
				seen.Message = message{r.typed, r.size}
			}
		}
		seen.Streams = len(heard)
	}
	after, err := p.cpu()
	if err != nil {
		return figures{}, change{}, err
	}
	slices.Sort(delays)
	slices.Sort(lasts)
	out.P50MS, out.P99MS, out.LastMS = at(delays, 0.5), at(delays, 0.99), at(lasts, 0.5)
	out.CPUMS, out.Proxies = milliseconds(after-before)/float64(repeat), concerned
	if concerned > 0 {
		out.BytesPerProxy = float64(bytes) / float64(repeat) / float64(concerned)
	}
	out.PeakBytes, err = p.peak()
	return out, seen, err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// at returns the value at the share q of the ordered values.
func at(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

// events are the changes that are measured.
func (c *cluster) events() []event {
	asking := func(service int) func(*fleet) int {
		return func(f *fleet) int { return f.asking(xds.TypeEndpoints, service) }
	}
	all := func(f *fleet) int { return len(f.proxies) }
	update := func(object client.Object, edit func(i int)) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			if i < 0 {
				return c.client.Get(ctx, client.ObjectKeyFromObject(object), object)
			}
			edit(i)
			for {
				err := c.client.Update(ctx, object)
				if !isConflict(err) {
					return err
				}
				// Its status was written meanwhile.
				if err := c.client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
					return err
				}
				edit(i)
			}
		}
	}
	const concerned = 1
	endpoints := &discoveryv1.EndpointSlice{ObjectMeta: meta(serviceName(concerned))}
	split := &splitv1alpha4.TrafficSplit{ObjectMeta: meta("split")}
	target := &accessv1alpha3.TrafficTarget{ObjectMeta: meta("target")}
	more := c.size.Services
	return []event{
		{"endpoint", update(endpoints, func(i int) {
			ready := i%2 == 1
			endpoints.Endpoints[0].Conditions.Ready = &ready
		}), asking(concerned)},
		{"weight", update(split, func(i int) { split.Spec.Backends[1].Weight = 11 + i }), all},
		{"target", update(target, func(i int) { target.Spec.Sources[0].Name = fmt.Sprintf("s%d", 2+i) }), func(f *fleet) int { return f.of(serviceName(0)) }},
		{"new service", func(ctx context.Context, i int) error {
			if i < 0 {
				return nil
			}
			return c.client.Create(ctx, service(more+i))
		}, all},
		{"new pod", func(ctx context.Context, i int) error {
			if i < 0 {
				return c.client.Get(ctx, client.ObjectKeyFromObject(endpoints), endpoints)
			}
			number := (more + i) * podsEach
			pod := *endpoints.DeepCopy()
			if err := c.createPodOf(ctx, number, concerned); err != nil {
				return err
			}
			ready := true
			pod.Endpoints = append(pod.Endpoints, discoveryv1.Endpoint{Addresses: []string{podIP(number)}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: podReference(number)})
			if err := c.client.Update(ctx, &pod); err != nil {
				return err
			}
			*endpoints = pod
			return nil
		}, asking(concerned)},
	}
}

// measureFloor has the same fleet served by the program without logic.
func measureFloor(ctx context.Context, c *cluster, r *report, p plan, repeat int, say func(string, ...any)) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "plan.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "floor", file) //nolint:gosec // this program
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	cmd.Stdout = writer
	floor, err := start(cmd, filepath.Join(c.dir, "floor.log"))
	if err != nil {
		return err
	}
	defer floor.stop()
	var hello struct{ Address, Root string }
	if err := json.NewDecoder(bufio.NewReader(reader)).Decode(&hello); err != nil {
		return fmt.Errorf("the floor: %w\n%s", err, floor.tail())
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(hello.Root))
	f := &fleet{target: hello.Address, roots: pool, server: floorName}
	for i := range c.size.Proxies {
		f.proxies = append(f.proxies, &proxy{number: i, namespace: namespace, pod: podName(i)})
	}
	defer f.close()
	say("connecting %d proxies to the floor", len(f.proxies))
	for i := range r.Rows {
		if r.Rows[i].What == "initial sync" {
			if r.Rows[i].Floor, err = synchronise(ctx, f, floor); err != nil {
				return fmt.Errorf("the floor: %w\n%s", err, floor.tail())
			}
			continue
		}
		e := event{r.Rows[i].What, func(_ context.Context, n int) error {
			if n < 0 {
				return nil
			}
			_, err := fmt.Fprintln(in, r.Rows[i].What)
			return err
		}, func(*fleet) int { return p.Changes[r.Rows[i].What].Streams }}
		if r.Rows[i].Floor, _, err = e.measure(ctx, f, floor, repeat); err != nil {
			return fmt.Errorf("the floor: %s: %w", e.name, err)
		}
	}
	return in.Close()
}
