package main

import (
	"context"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/operator/status"
	"github.com/heddle-mesh/heddle/sidecar/programmed"
)

// gather is the least time between two looks at the deliveries.
const gather = 50 * time.Millisecond

// reporter joins what the build found with how far it has come, and hands
// both to the writer of status.
type reporter struct {
	// delivered is set before anything is published.
	delivered programmed.Delivered
	writer    *status.Writer
	wake      chan struct{}

	mu sync.Mutex
	// latest is the last publication, nil before the first.
	latest *programmed.State
}

func newReporter(writer *status.Writer) *reporter {
	return &reporter{writer: writer, wake: make(chan struct{}, 1)}
}

// NeedLeaderElection is true: only the writer's replica has use for it.
func (r *reporter) NeedLeaderElection() bool { return true }

// publish takes a publication. It does not wait.
func (r *reporter) publish(state programmed.State) {
	r.mu.Lock()
	r.latest = &state
	r.mu.Unlock()
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
	book := programmed.NewBook()
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-later.C:
		}
		if again := r.report(book); again > 0 {
			later.Reset(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather):
		}
	}
}

// report hands on what there is, but for what will likely have arrived in a
// moment; it then returns when to look again.
func (r *reporter) report(book *programmed.Book) (again time.Duration) {
	r.mu.Lock()
	latest := r.latest
	r.mu.Unlock()
	if latest == nil {
		return 0
	}
	now := time.Now()
	book.Update(*latest, now)
	reports, again := book.Report(r.delivered, now)
	r.writer.Publish(reports)
	return again
}
