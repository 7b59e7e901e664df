package convert

import (
	"fmt"
	"maps"
)

// body is what a spec holds, whatever a version calls it and wherever it keeps
// it. Nil is a spec that was left out. Bodies are never changed once made.
type body = map[string]any

// layout says where a version keeps the body.
type layout interface {
	// take returns the body of an object.
	take(object map[string]any) (body, error)
	// without returns a copy of the object without its body.
	without(object map[string]any) map[string]any
	// put adds a body to an object.
	put(object map[string]any, b body)
}

// inSpec is the layout of versions that have a spec.
type inSpec struct{}

func (inSpec) take(object map[string]any) (body, error) {
	spec, ok := object["spec"].(map[string]any)
	if !ok && object["spec"] != nil {
		return nil, fmt.Errorf("spec is %T, not an object", object["spec"])
	}
	return spec, nil
}

func (inSpec) without(object map[string]any) map[string]any {
	out := maps.Clone(object)
	delete(out, "spec")
	return out
}

func (inSpec) put(object map[string]any, b body) {
	if b != nil {
		object["spec"] = b
	}
}

// onTop is the layout of versions that have no spec: it names the fields of
// the object by those of the body.
type onTop map[string]string

func (l onTop) take(object map[string]any) (body, error) {
	b := body{}
	for field, name := range l {
		if value, ok := object[name]; ok {
			b[field] = value
		}
	}
	return b, nil
}

func (l onTop) without(object map[string]any) map[string]any {
	out := maps.Clone(object)
	for _, name := range l {
		delete(out, name)
	}
	return out
}

func (l onTop) put(object map[string]any, b body) {
	for field, name := range l {
		if value, ok := b[field]; ok {
			object[name] = value
		}
	}
}
