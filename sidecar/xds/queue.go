package xds

import (
	"iter"
	"sync"
	"time"
)

// queue holds what a stream has yet to look at: names, coalesced, so that its
// size is bounded by what there is and a slow proxy gets the newest state
// once. The publisher adds, the stream takes.
type queue struct {
	// wake has room for one signal.
	wake chan struct{}

	mu         sync.Mutex
	names      map[string]map[string]struct{}
	since      time.Time
	rechecking bool
	reissuing  bool
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), names: map[string]map[string]struct{}{}}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add queues a name that was published at that time.
func (q *queue) add(typeURL, name string, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	merge(q.names, typeURL, name)
	if q.since.IsZero() {
		q.since = at
	}
	q.signal()
}

// keep has the stream look at the names the next time it has reason to.
func (q *queue) keep(typeURL string, n int, names iter.Seq[string]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.names[typeURL] == nil && n > 0 {
		q.names[typeURL] = make(map[string]struct{}, n)
	}
	for name := range names {
		q.names[typeURL][name] = struct{}{}
	}
}

// recheck asks the stream to list again what it gets without asking.
func (q *queue) recheck() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rechecking = true
	q.signal()
}

func (q *queue) reissue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reissuing = true
	q.signal()
}

// work is what a stream has to look at.
type work struct {
	names map[string]map[string]struct{}
	// since is when the oldest of what was published was published.
	since            time.Time
	recheck, reissue bool
}

func (q *queue) take() work {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := work{names: q.names, since: q.since, recheck: q.rechecking, reissue: q.reissuing}
	q.names, q.since, q.rechecking, q.reissuing = map[string]map[string]struct{}{}, time.Time{}, false, false
	return w
}

func (q *queue) pending(typeURL string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.names[typeURL])
}

func merge(names map[string]map[string]struct{}, typeURL, name string) {
	if names[typeURL] == nil {
		names[typeURL] = map[string]struct{}{}
	}
	names[typeURL][name] = struct{}{}
}
