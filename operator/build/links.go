package build

import (
	"iter"
	"slices"
)

// links tell from a thing to those that depend on it. A link may be there more
// than once; it stays until it has been removed as often. The zero value has
// none, but can't be written.
type links[K, V comparable] map[K]*bag[V]

func (l links[K, V]) add(key K, value V) {
	b := l[key]
	if b == nil {
		b = &bag[V]{}
		l[key] = b
	}
	b.add(value)
}

func (l links[K, V]) remove(key K, value V) {
	if b := l[key]; b != nil {
		if b.remove(value); b.empty() {
			delete(l, key)
		}
	}
}

// of yields what the key leads to, some perhaps more than once, in an order
// that means nothing.
func (l links[K, V]) of(key K) iter.Seq[V] { return l[key].all }

// any is true if the key leads to something.
func (l links[K, V]) any(key K) bool { return l[key] != nil }

// fewLinks is how many things a list finds as fast as a map, in less space.
const fewLinks = 16

// bag holds things, each as often as it was added. Most bags hold one.
type bag[V comparable] struct {
	few  []V
	many map[V]int
}

func (b *bag[V]) add(value V) {
	if b.many == nil && len(b.few) < fewLinks {
		b.few = append(b.few, value)
		return
	}
	if b.many == nil {
		b.many = map[V]int{}
		for _, v := range b.few {
			b.many[v]++
		}
		b.few = nil
	}
	b.many[value]++
}

func (b *bag[V]) remove(value V) {
	if b.many == nil {
		if i := slices.Index(b.few, value); i >= 0 {
			b.few = slices.Delete(b.few, i, i+1)
		}
		return
	}
	if b.many[value]--; b.many[value] <= 0 {
		delete(b.many, value)
	}
}

func (b *bag[V]) empty() bool { return len(b.few)+len(b.many) == 0 }

func (b *bag[V]) all(yield func(V) bool) {
	if b == nil {
		return
	}
	for _, v := range b.few {
		if !yield(v) {
			return
		}
	}
	for v := range b.many {
		if !yield(v) {
			return
		}
	}
}

// set is a set of what has to be made anew.
type set[K comparable] map[K]struct{}

func (s set[K]) add(keys ...K) {
	for _, key := range keys {
		s[key] = struct{}{}
	}
}

func (s set[K]) addAll(keys iter.Seq[K]) {
	for key := range keys {
		s[key] = struct{}{}
	}
}
