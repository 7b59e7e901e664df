package convert

import "maps"

// fieldOf returns a field of what may be an object; nil if there is none.
func fieldOf(object any, name string) any {
	fields, _ := object.(map[string]any)
	return fields[name]
}

// keep returns the elements of what may be a list that are wanted; never nil.
func keep(list any, wanted func(any) bool) []any {
	elements, _ := list.([]any)
	out := make([]any, 0, len(elements))
	for _, element := range elements {
		if wanted(element) {
			out = append(out, element)
		}
	}
	return out
}

// with returns a copy of the object with another value in a field.
func with(object map[string]any, name string, value any) map[string]any {
	out := make(map[string]any, len(object)+1)
	maps.Copy(out, object)
	out[name] = value
	return out
}

// without returns a copy of the object without a field.
func without(object map[string]any, name string) map[string]any {
	out := maps.Clone(object)
	delete(out, name)
	return out
}
