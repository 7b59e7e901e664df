package mesh

import (
	"hash/maphash"
	"slices"
)

// Edit makes a table out of another by any number of steps, without a table
// for each. One goroutine uses it.
type Edit[K, V comparable] struct {
	owner *owner
	table Table[K, V]
}

// Edit returns an edit that begins with the table, which stays as it is.
func (t Table[K, V]) Edit() *Edit[K, V] { return &Edit[K, V]{table: t} }

// Table returns what the edit has come to. The edit may go on.
func (e *Edit[K, V]) Table() Table[K, V] {
	e.owner = nil // the nodes are the table's now
	return e.table
}

// Get returns the value that the key has by now, the zero value if none.
func (e *Edit[K, V]) Get(key K) V { return e.table.Get(key) }

// Lookup returns the value that the key has by now, and whether it has one.
func (e *Edit[K, V]) Lookup(key K) (V, bool) { return e.table.Lookup(key) }

// Put gives the key the value. If it has it already nothing is written.
func (e *Edit[K, V]) Put(key K, value V) {
	if old, ok := e.table.Lookup(key); ok {
		if old == value {
			return
		}
	} else {
		e.table.size++
	}
	entry := slot[K, V]{hash: maphash.Comparable(seed, key), key: key, value: value}
	e.table.root = e.put(e.table.root, entry, 0)
}

// Drop takes the key out.
func (e *Edit[K, V]) Drop(key K) {
	if _, ok := e.table.Lookup(key); !ok {
		return
	}
	e.table.size--
	e.table.root = e.drop(e.table.root, maphash.Comparable(seed, key), key, 0)
}

func (e *Edit[K, V]) own(n *node[K, V]) *node[K, V] {
	if e.owner == nil {
		e.owner = &owner{}
	}
	switch {
	case n == nil:
		return &node[K, V]{owner: e.owner}
	case n.owner == e.owner:
		return n
	}
	return &node[K, V]{owner: e.owner, bits: n.bits, slots: slices.Clone(n.slots)}
}

func (e *Edit[K, V]) put(n *node[K, V], entry slot[K, V], shift int) *node[K, V] {
	n = e.own(n)
	at, found := n.find(entry.hash, shift, entry.key)
	if !found {
		n.slots = slices.Insert(n.slots, at, entry)
		if shift < hashSize {
			n.bits |= bitOf(entry.hash, shift)
		}
		return n
	}
	s := &n.slots[at]
	switch {
	case s.child != nil:
		s.child = e.put(s.child, entry, shift+hashBits)
	case s.key == entry.key:
		*s = entry
	default:
		child := e.put(nil, *s, shift+hashBits)
		*s = slot[K, V]{child: e.put(child, entry, shift+hashBits)}
	}
	return n
}

// drop takes out a key that is there. A node that is left with one entry
// becomes that entry, for the parent to hold; an empty one is nil.
func (e *Edit[K, V]) drop(n *node[K, V], hash uint64, key K, shift int) *node[K, V] {
	at, _ := n.find(hash, shift, key)
	n = e.own(n)
	if child := n.slots[at].child; child != nil {
		child = e.drop(child, hash, key, shift+hashBits)
		if len(child.slots) == 1 && child.slots[0].child == nil {
			n.slots[at] = child.slots[0]
		} else {
			n.slots[at].child = child
		}
		return n
	}
	n.slots = slices.Delete(n.slots, at, at+1)
	if shift < hashSize {
		n.bits &^= bitOf(hash, shift)
	}
	if len(n.slots) == 0 {
		return nil
	}
	return n
}
