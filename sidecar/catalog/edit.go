package catalog

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// edit makes the tables of one catalog out of those of the catalog before. A
// table in which nothing is written stays the one before.
type edit struct {
	before, after map[string]table
	// touched are the names that were written, by type URL.
	touched map[string]map[string]struct{}
	errs    []error
}

// newEdit begins with what there was before or, afresh, with nothing.
func newEdit(before map[string]table, afresh bool) *edit {
	e := &edit{before: before, after: map[string]table{}, touched: map[string]map[string]struct{}{}}
	if !afresh {
		maps.Copy(e.after, before)
		return e
	}
	for typeURL, resources := range before {
		for name := range resources {
			e.write(typeURL, name)
		}
	}
	return e
}

// put marshals the message. If that gives what there was before, the resource
// is the one before. If it can't be marshalled there is none.
func (e *edit) put(typeURL, name, origin string, m proto.Message) {
	resource, err := xds.NewResource(name, origin, m)
	if err != nil {
		e.errs = append(e.errs, err)
		e.drop(typeURL, name)
		return
	}
	if old := e.before[typeURL][name]; old != nil && old.Version == resource.Version && old.Origin == origin {
		resource = old
	}
	if e.after[typeURL][name] != resource {
		e.write(typeURL, name)[name] = resource
	}
}

func (e *edit) drop(typeURL, name string) {
	if _, ok := e.after[typeURL][name]; ok {
		delete(e.write(typeURL, name), name)
	}
}

// write returns the table to write the name in.
func (e *edit) write(typeURL, name string) table {
	if e.touched[typeURL] == nil {
		e.touched[typeURL] = map[string]struct{}{}
		e.after[typeURL] = maps.Clone(e.after[typeURL])
		if e.after[typeURL] == nil {
			e.after[typeURL] = table{}
		}
	}
	e.touched[typeURL][name] = struct{}{}
	return e.after[typeURL]
}

// changed returns the names, ordered, of what appeared, disappeared or has
// other bytes than before.
func (e *edit) changed() map[string][]string {
	out := map[string][]string{}
	for typeURL, names := range e.touched {
		for name := range names {
			old, now := e.before[typeURL][name], e.after[typeURL][name]
			if (old == nil) != (now == nil) || (old != nil && old.Version != now.Version) {
				out[typeURL] = append(out[typeURL], name)
			}
		}
		slices.Sort(out[typeURL])
	}
	return out
}

// sameNames is true if no name of that type appeared or disappeared.
func (e *edit) sameNames(typeURL string) bool {
	for name := range e.touched[typeURL] {
		if (e.before[typeURL][name] == nil) != (e.after[typeURL][name] == nil) {
			return false
		}
	}
	return true
}
