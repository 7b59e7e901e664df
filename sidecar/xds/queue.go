package xds

import (
	"sync"
)

// queue holds what a stream has yet to look at: names, coalesced, so that its
// size is bounded by what there is and a slow proxy gets the newest state
// once. The publisher adds, the stream takes.
type queue struct {
	// wake has room for one signal.
	wake chan struct{}

	mu         sync.Mutex
	names      map[string]map[string]struct{}
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

func (q *queue) add(typeURL, name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.names[typeURL] == nil {
		q.names[typeURL] = map[string]struct{}{}
	}
	q.names[typeURL][name] = struct{}{}
	q.signal()
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

func (q *queue) take() (names map[string]map[string]struct{}, recheck, reissue bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	names, recheck, reissue = q.names, q.rechecking, q.reissuing
	q.names, q.rechecking, q.reissuing = map[string]map[string]struct{}{}, false, false
	return names, recheck, reissue
}

func (q *queue) pending(typeURL string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.names[typeURL])
}
