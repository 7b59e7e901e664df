package main

import (
	"context"
	"sync"
	"time"

	"github.com/heddle-mesh/heddle/operator/status"
	"github.com/heddle-mesh/heddle/sidecar/programmed"
)

const (
	// gather is the least time between two looks at the deliveries.
	gather = 50 * time.Millisecond
	// askAgain is when other replicas are asked again about what has yet to
	// arrive; of this one's proxies there is word at once.
	askAgain = 500 * time.Millisecond
)

// reporter joins what the build found with how far it has come, and hands
// both to the writer of status.
type reporter struct {
	// delivered is set before anything is published.
	delivered programmed.Delivered
	peers     *programmed.Peers
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
	defer r.peers.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-later.C:
		}
		if again := r.report(ctx, book); again > 0 {
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
func (r *reporter) report(ctx context.Context, book *programmed.Book) (again time.Duration) {
	r.mu.Lock()
	latest := r.latest
	r.mu.Unlock()
	if latest == nil {
		return 0
	}
	now := time.Now()
	book.Update(*latest, now)
	var others map[programmed.Resource]programmed.Delivery
	if pending := book.Pending(); len(pending) > 0 {
		others = r.peers.Ask(ctx, pending)
	}
	reports, again := book.Report(programmed.Together(r.delivered, others), now)
	r.writer.Publish(reports)
	if again == 0 && len(others) > 0 && len(book.Pending()) > 0 {
		again = askAgain
	}
	return again
}
