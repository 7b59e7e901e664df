// Package ingest watches Kubernetes and publishes mesh snapshots. Informers note
// what changed; one goroutine owns the rest.
//
//	informers -> build.Changes -> loop -> build.Builder -> Publish
//
// A change that comes alone is published at once; while it is worked off others
// gather. The work follows the changes: nothing is listed again.
package ingest

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// maxHold bounds the pause after a publication. The pause is as long as the
// publication took, so that a storm of changes leaves half of a processor to
// others, and what comes meanwhile is worked off together.
const maxHold = 20 * time.Millisecond

// Publish takes a snapshot and the reports on all objects. It is called by one
// goroutine.
type Publish func(ctx context.Context, snapshot *mesh.Snapshot, reports mesh.Reports)

// Loop is the ingestion. Start it once.
type Loop struct {
	cache   cache.Cache
	publish Publish
	builder *build.Builder

	wake    chan struct{}
	mu      sync.Mutex
	changes build.Changes
}

// New returns a loop over the cache, which must be started by its owner.
func New(c cache.Cache, publish Publish) *Loop {
	return &Loop{cache: c, publish: publish, builder: build.NewBuilder(), wake: make(chan struct{}, 1)}
}

// NeedLeaderElection is false: every replica serves proxies.
func (l *Loop) NeedLeaderElection() bool { return false }

// Start publishes a snapshot of all there is, and then one per gathered change
// until the context ends.
func (l *Loop) Start(ctx context.Context) error {
	if err := l.watch(ctx); err != nil {
		return err
	}
	for {
		began := time.Now()
		l.step(ctx)
		pause := time.NewTimer(min(time.Since(began), maxHold))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		}
	}
}

// step works off what has been noted.
func (l *Loop) step(ctx context.Context) {
	l.mu.Lock()
	changes := l.changes
	l.changes = build.Changes{}
	l.mu.Unlock()
	snapshot, reports := l.builder.Apply(changes)
	l.publish(ctx, snapshot, reports)
}

// note takes in a change and wakes the loop.
func (l *Loop) note(change func(*build.Changes)) {
	l.mu.Lock()
	change(&l.changes)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
