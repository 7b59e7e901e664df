package mesh

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// Table is an immutable map. One that was made from another shares with it all
// but the few nodes on the way to what is different, so that making it costs
// no more than the difference, and so does finding that difference again
// (Changed). The zero value is empty. Tables may be compared with ==: equal
// ones have the same entries, unequal ones may too.
//
// It is a hash array mapped trie (Bagwell 2001) without empty or single-leaf
// nodes below the root, so its shape follows from its entries alone.
type Table[K, V comparable] struct {
	root *node[K, V]
	size int
}

const (
	// hashBits is how many bits of the hash a level looks at.
	hashBits = 5
	hashSize = 64
)

// seed is one for the process: tables with the same keys have the same shape.
var seed = maphash.MakeSeed()

// node has a slot for each bit that is set. Below the last bit of the hash it
// has one for each key of that hash, and no bits.
type node[K, V comparable] struct {
	// owner may change the node in place; nobody may once its edit has ended.
	owner *owner
	bits  uint32
	slots []slot[K, V]
}

// slot is a child or, if that is nil, an entry.
type slot[K, V comparable] struct {
	child *node[K, V]
	hash  uint64
	key   K
	value V
}

// owner is who an edit's own nodes belong to.
type owner struct{ _ byte }

// TableOf returns a table with the entries of the map.
func TableOf[K, V comparable](entries map[K]V) Table[K, V] {
	e := Table[K, V]{}.Edit()
	for key, value := range entries {
		e.Put(key, value)
	}
	return e.Table()
}

// Len returns the number of entries.
func (t Table[K, V]) Len() int { return t.size }

// Get returns the value of the key, the zero value if it has none.
func (t Table[K, V]) Get(key K) V {
	value, _ := t.Lookup(key)
	return value
}

// Lookup returns the value of the key and whether it has one.
func (t Table[K, V]) Lookup(key K) (V, bool) {
	return lookup(t.root, maphash.Comparable(seed, key), key)
}

// All yields the entries in an order that means nothing.
func (t Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.each(yield) }
}

// Keys yields the keys in an order that means nothing.
func (t Table[K, V]) Keys() iter.Seq[K] {
	return func(yield func(K) bool) { t.root.each(func(key K, _ V) bool { return yield(key) }) }
}

// Values yields the values in an order that means nothing.
func (t Table[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) { t.root.each(func(_ K, value V) bool { return yield(value) }) }
}

// With returns the table in which the key has the value.
func (t Table[K, V]) With(key K, value V) Table[K, V] {
	e := t.Edit()
	e.Put(key, value)
	return e.Table()
}

// Without returns the table in which the key has no value.
func (t Table[K, V]) Without(key K) Table[K, V] {
	e := t.Edit()
	e.Drop(key)
	return e.Table()
}

// Changed yields the keys whose values differ between two tables, those that
// only one has among them, in an order that means nothing. If one was made
// from the other its cost is that of the difference.
func Changed[K, V comparable](before, after Table[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) { changed(before.root, after.root, 0, yield) }
}

func lookup[K, V comparable](n *node[K, V], hash uint64, key K) (value V, ok bool) {
	for shift := 0; n != nil; shift += hashBits {
		at, found := n.find(hash, shift, key)
		if !found {
			return value, false
		}
		s := &n.slots[at]
		if s.child == nil {
			if s.key == key {
				return s.value, true
			}
			return value, false
		}
		n = s.child
	}
	return value, false
}

// find returns the slot that the hash leads to, or where it would be. Below the
// last bit it is the key's own.
func (n *node[K, V]) find(hash uint64, shift int, key K) (at int, found bool) {
	if shift >= hashSize {
		for i := range n.slots {
			if n.slots[i].key == key {
				return i, true
			}
		}
		return len(n.slots), false
	}
	bit := bitOf(hash, shift)
	return bits.OnesCount32(n.bits & (bit - 1)), n.bits&bit != 0
}

func bitOf(hash uint64, shift int) uint32 { return 1 << (hash >> shift & (1<<hashBits - 1)) }

func (n *node[K, V]) each(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.slots {
		s := &n.slots[i]
		if s.child != nil {
			if !s.child.each(yield) {
				return false
			}
		} else if !yield(s.key, s.value) {
			return false
		}
	}
	return true
}

func changed[K, V comparable](a, b *node[K, V], shift int, yield func(K) bool) bool {
	switch {
	case a == b:
		return true
	case a == nil:
		return b.each(func(key K, _ V) bool { return yield(key) })
	case b == nil:
		return a.each(func(key K, _ V) bool { return yield(key) })
	case shift >= hashSize:
		return changedCollisions(a, b, yield)
	}
	for all := a.bits | b.bits; all != 0; all &= all - 1 {
		bit := all & -all
		if !changedSlots(a.at(bit), b.at(bit), shift, yield) {
			return false
		}
	}
	return true
}

// at returns the slot of the bit, nil if there is none.
func (n *node[K, V]) at(bit uint32) *slot[K, V] {
	if n.bits&bit == 0 {
		return nil
	}
	return &n.slots[bits.OnesCount32(n.bits&(bit-1))]
}

func changedSlots[K, V comparable](a, b *slot[K, V], shift int, yield func(K) bool) bool {
	switch {
	case a == nil:
		return b.each(yield)
	case b == nil:
		return a.each(yield)
	case a.child != nil && b.child != nil:
		return changed(a.child, b.child, shift+hashBits, yield)
	case a.child != nil:
		return changedEntry(b, a.child, yield)
	case b.child != nil:
		return changedEntry(a, b.child, yield)
	case a.key == b.key:
		return a.value == b.value || yield(a.key)
	}
	return yield(a.key) && yield(b.key)
}

func (s *slot[K, V]) each(yield func(K) bool) bool {
	if s.child != nil {
		return s.child.each(func(key K, _ V) bool { return yield(key) })
	}
	return yield(s.key)
}

// changedEntry compares a single entry with the node that stands in its place.
func changedEntry[K, V comparable](entry *slot[K, V], n *node[K, V], yield func(K) bool) bool {
	found := false
	more := n.each(func(key K, value V) bool {
		if key == entry.key {
			found = true
			return value == entry.value || yield(key)
		}
		return yield(key)
	})
	return more && (found || yield(entry.key))
}

func changedCollisions[K, V comparable](a, b *node[K, V], yield func(K) bool) bool {
	for i := range a.slots {
		s := &a.slots[i]
		if at, ok := b.find(s.hash, hashSize, s.key); (!ok || b.slots[at].value != s.value) && !yield(s.key) {
			return false
		}
	}
	for i := range b.slots {
		s := &b.slots[i]
		if _, ok := a.find(s.hash, hashSize, s.key); !ok && !yield(s.key) {
			return false
		}
	}
	return true
}
