package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/operator/status"
	"github.com/heddle-mesh/heddle/sidecar/programmed"
)

const (
	// grace is how long proxies may take before an object is said to be
	// pending: most changes are acknowledged within milliseconds, and status
	// is then written once.
	grace = 500 * time.Millisecond
	// gather is the least time between two looks at the deliveries.
	gather = 50 * time.Millisecond
)

// reporter joins what the build found with how far it has come, and hands
// both to the writer of status.
type reporter struct {
	// delivered is set before anything is published.
	delivered programmed.Delivered
	writer    *status.Writer
	book      programmed.Book
	wake      chan struct{}

	mu       sync.Mutex
	findings []mesh.Finding
	changed  time.Time
}

func newReporter(writer *status.Writer) *reporter {
	return &reporter{writer: writer, wake: make(chan struct{}, 1)}
}

// NeedLeaderElection is true: only the writer's replica has use for it.
func (r *reporter) NeedLeaderElection() bool { return true }

// publish takes the findings of a build and the objects' resources. It does
// not wait.
func (r *reporter) publish(findings []mesh.Finding, objects []programmed.Object) {
	r.mu.Lock()
	r.findings, r.changed = findings, time.Now()
	r.mu.Unlock()
	r.book.Put(objects)
	r.signal()
}

// signal says that there may be something new. It does not wait.
func (r *reporter) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Start reports until the context ends.
func (r *reporter) Start(ctx context.Context) error {
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-later.C:
		}
		if again := r.report(); again > 0 {
			later.Reset(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather):
		}
	}
}

// report hands on what there is, unless something is under way that will
// likely have arrived in a moment; it then returns when to look again.
func (r *reporter) report() (again time.Duration) {
	r.mu.Lock()
	findings, wait := r.findings, grace-time.Since(r.changed)
	r.mu.Unlock()
	if findings == nil {
		return 0
	}
	delivered, pending := r.book.Findings(r.delivered)
	if pending && wait > 0 {
		return wait
	}
	r.writer.Publish(slices.Concat(findings, delivered))
	return 0
}
