package convert

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
)

// AnnotationPrefix and the name of a version make the annotation that holds a
// spec as it was written in that version, while the object is seen, or stored,
// in one that can't express it.
const AnnotationPrefix = "heddle.dev/spec-"

// annotations of an object; the values are strings.
type annotations map[string]any

// dialect is what one or more versions of a kind can express.
type dialect struct {
	// name is the newest version that speaks it.
	name string
	// spec makes a value of the Go type that its bodies decode into.
	spec func() any
	// sound tells whether a body has only values that are safe to decode; nil
	// is for types that take no harm from any.
	sound func(body) bool
	// up says in the newest dialect what a body means, or less; down says in
	// this dialect what a body of the newest means, or less. Both take any
	// body and change none. The newest dialect has neither.
	up, down func(body) body
}

// rise returns the body in the newest dialect. Afterwards the annotations hold
// this dialect's own words if the newest can't give them back, and nothing
// that is void.
func (k kind) rise(d *dialect, b body, notes annotations) (body, error) {
	newest, ok := k.newest.recall(notes)
	if !ok || !equal(d.down(newest), b) {
		newest = d.up(b)
	}
	if err := k.newest.check(newest); err != nil {
		return nil, err
	}
	k.newest.forget(notes)
	d.forget(notes)
	k.sweep(newest, notes)
	if !equal(d.down(newest), b) {
		d.remember(b, notes)
	}
	return newest, nil
}

// descend returns what a body of the newest dialect is in this one. Afterwards
// the annotations hold the newest body if this dialect can't express it, and
// nothing that is void.
func (k kind) descend(d *dialect, newest body, notes annotations) body {
	k.newest.forget(notes)
	k.sweep(newest, notes)
	b, ok := d.recall(notes)
	if !ok {
		b = d.down(newest)
	}
	d.forget(notes)
	if !equal(d.up(b), newest) {
		k.newest.remember(newest, notes)
	}
	return b
}

// sweep drops what older dialects remember and the object no longer says.
func (k kind) sweep(newest body, notes annotations) {
	for _, d := range k.older {
		if b, ok := d.recall(notes); !ok || !equal(d.up(b), newest) {
			d.forget(notes)
		}
	}
}

func (d *dialect) annotation() string { return AnnotationPrefix + d.name }

// recall returns the remembered body. An annotation is only a user's text: a
// body that no user could have written as a spec is none.
func (d *dialect) recall(notes annotations) (body, bool) {
	text, ok := notes[d.annotation()].(string)
	if !ok {
		return nil, false
	}
	var b body
	if err := kubejson.Unmarshal([]byte(text), &b); err != nil {
		return nil, false
	}
	return b, d.check(b) == nil
}

func (d *dialect) remember(b body, notes annotations) {
	text, err := json.Marshal(b)
	if err != nil {
		return // decoded JSON always encodes
	}
	notes[d.annotation()] = string(text)
}

func (d *dialect) forget(notes annotations) { delete(notes, d.annotation()) }

// check tells whether clients of the dialect can decode the body and know all
// of its fields. One that they can't decode would stop their informers.
func (d *dialect) check(b body) error {
	switch {
	case b == nil:
		return nil
	case d.sound != nil && !d.sound(b):
		return fmt.Errorf("spec is none of version %s", d.name)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(b, d.spec(), true); err != nil {
		return fmt.Errorf("spec is none of version %s: %w", d.name, err)
	}
	return nil
}

func equal(a, b body) bool { return reflect.DeepEqual(a, b) }
