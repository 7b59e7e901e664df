package catalog

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// table holds the resources of one type by name.
type table = mesh.Table[string, *xds.Resource]

// edit makes the tables of one catalog out of those of the catalog before.
type edit struct {
	before map[string]table
	edits  map[string]*mesh.Edit[string, *xds.Resource]
	// touched are the names that were written, by type URL.
	touched map[string]set[string]
	errs    []error
}

// newEdit begins with what there was before or, afresh, with nothing.
func newEdit(before map[string]table, afresh bool) *edit {
	e := &edit{before: before, edits: map[string]*mesh.Edit[string, *xds.Resource]{}, touched: map[string]set[string]{}}
	for typeURL, resources := range before {
		if !afresh {
			e.edits[typeURL] = resources.Edit()
			continue
		}
		for name := range resources.Keys() {
			e.touch(typeURL, name)
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
	if old := e.before[typeURL].Get(name); old != nil && old.Version == resource.Version && old.Origin == origin {
		resource = old
	}
	e.touch(typeURL, name)
	e.of(typeURL).Put(name, resource)
}

func (e *edit) drop(typeURL, name string) {
	e.touch(typeURL, name)
	e.of(typeURL).Drop(name)
}

func (e *edit) touch(typeURL, name string) {
	if e.touched[typeURL] == nil {
		e.touched[typeURL] = set[string]{}
	}
	e.touched[typeURL].add(name)
}

func (e *edit) of(typeURL string) *mesh.Edit[string, *xds.Resource] {
	if e.edits[typeURL] == nil {
		e.edits[typeURL] = table{}.Edit()
	}
	return e.edits[typeURL]
}

func (e *edit) tables() map[string]table {
	out := make(map[string]table, len(e.edits))
	for typeURL, edit := range e.edits {
		out[typeURL] = edit.Table()
	}
	return out
}

// changed returns the names, ordered, of what appeared, disappeared or has
// other bytes than before. came is true if a virtual host appeared or
// disappeared.
func (e *edit) changed() (names map[string][]string, came bool) {
	names = map[string][]string{}
	for typeURL, touched := range e.touched {
		for name := range touched {
			old, now := e.before[typeURL].Get(name), e.of(typeURL).Get(name)
			if (old == nil) != (now == nil) || (old != nil && old.Version != now.Version) {
				names[typeURL] = append(names[typeURL], name)
			}
			came = came || typeURL == xds.TypeVirtualHost && (old == nil) != (now == nil)
		}
		slices.Sort(names[typeURL])
	}
	return names, came
}
