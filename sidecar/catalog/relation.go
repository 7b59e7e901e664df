package catalog

import (
	"iter"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// relation is an immutable relation between two kinds of things, each pair once.
type relation[K, V comparable] struct {
	of mesh.Table[K, mesh.Table[V, struct{}]]
}

// with yields what the key is related to, in an order that means nothing.
func (r relation[K, V]) with(key K) iter.Seq[V] { return r.of.Get(key).Keys() }

func (r relation[K, V]) any(key K) bool { return r.of.Get(key).Len() > 0 }

func (r *relation[K, V]) add(key K, value V) {
	r.of = r.of.With(key, r.of.Get(key).With(value, struct{}{}))
}

func (r *relation[K, V]) remove(key K, value V) {
	if rest := r.of.Get(key).Without(value); rest.Len() > 0 {
		r.of = r.of.With(key, rest)
	} else {
		r.of = r.of.Without(key)
	}
}

// set is a set of what has to be made anew.
type set[K comparable] map[K]struct{}

func (s set[K]) add(key K) { s[key] = struct{}{} }

func (s set[K]) addAll(keys iter.Seq[K]) {
	for key := range keys {
		s[key] = struct{}{}
	}
}
