package v1alpha4

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxHeaders bounds how many headers one match may name, maxHeaderRegex how
// long one of their expressions may be.
const (
	maxHeaders     = 64
	maxHeaderRegex = 1024
)

// HeaderCondition requires that a request has a header whose whole value
// matches an expression.
type HeaderCondition struct {
	// Name is lower-case.
	Name string
	// Regex is RE2; it has not been compiled.
	Regex string
}

// Headers holds the header conditions of a match in the words of whoever wrote
// them. The specification writes a map,
//
//	headers: {user-agent: ".*curl.*", x-beta: "yes"}
//
// and the SMI SDK a list of maps, of which the order is kept:
//
//	headers: [{user-agent: ".*curl.*"}, {x-beta: "yes"}]
//
// Marshalling gives back what was unmarshalled, in either form. Unmarshalling
// accepts every JSON value; Conditions tells whether it makes sense. A nil
// *Headers and the zero value ask for nothing. The value is immutable.
type Headers struct {
	// raw is compact JSON; empty is as if the field were left out.
	raw []byte
}

// HeadersFromMap returns Headers in the form of a map from header name to
// regular expression.
func HeadersFromMap(conditions map[string]string) *Headers {
	if len(conditions) == 0 {
		return nil
	}
	raw, err := json.Marshal(conditions)
	if err != nil {
		return nil // strings always marshal
	}
	return &Headers{raw: raw}
}

// Conditions returns what must hold, in the order it was written; names in a
// map are sorted. The error says what is wrong with the field, and then there
// are no conditions: the caller must treat the match as one that nothing
// satisfies, never as one without headers.
func (h *Headers) Conditions() ([]HeaderCondition, error) {
	if h == nil || len(h.raw) == 0 {
		return nil, nil
	}
	groups, err := h.groups()
	if err != nil {
		return nil, err
	}
	var out []HeaderCondition
	seen := map[string]bool{}
	for _, group := range groups {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			condition := HeaderCondition{Name: strings.ToLower(name), Regex: group[name]}
			if err := condition.check(); err != nil {
				return nil, err
			}
			if seen[condition.Name] {
				return nil, fmt.Errorf("header %q is named twice", condition.Name)
			}
			seen[condition.Name] = true
			out = append(out, condition)
		}
	}
	if len(out) > maxHeaders {
		return nil, fmt.Errorf("%d headers are more than %d", len(out), maxHeaders)
	}
	return out, nil
}

// groups returns the map, or the maps of the list.
func (h *Headers) groups() ([]map[string]string, error) {
	switch h.raw[0] {
	case '{':
		group, err := decodeGroup(h.raw)
		if err != nil {
			return nil, err
		}
		return []map[string]string{group}, nil
	case '[':
		var elements []json.RawMessage
		if err := json.Unmarshal(h.raw, &elements); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		groups := make([]map[string]string, 0, len(elements))
		for _, element := range elements {
			group, err := decodeGroup(element)
			if err != nil {
				return nil, err
			}
			if len(group) == 0 {
				return nil, errors.New("headers: an element of the list names no header")
			}
			groups = append(groups, group)
		}
		return groups, nil
	default:
		return nil, errors.New("headers must be a map from header name to regular expression, or a list of such maps")
	}
}

// decodeGroup decodes an object of strings. A name that occurs twice is an
// error: encoding/json would let the last one win and so drop a condition.
func decodeGroup(raw []byte) (map[string]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("headers: an element of the list is not a map")
	}
	group := map[string]string{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		name, _ := key.(string)
		value, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		regex, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("header %q: the value must be a regular expression in a string", name)
		}
		if _, twice := group[name]; twice {
			return nil, fmt.Errorf("header %q is named twice", name)
		}
		group[name] = regex
	}
	return group, nil
}

func (c HeaderCondition) check() error {
	if !isHeaderName(c.Name) {
		return fmt.Errorf("%q is not a header name", c.Name)
	}
	if len(c.Regex) > maxHeaderRegex {
		return fmt.Errorf("header %q: the regular expression is longer than %d bytes", c.Name, maxHeaderRegex)
	}
	return nil
}

// isHeaderName tells whether name is a token of RFC 9110, or one of HTTP/2's
// pseudo headers.
func isHeaderName(name string) bool {
	token := strings.TrimPrefix(name, ":")
	if token == "" || len(name) > 256 {
		return false
	}
	for i := range len(token) {
		c := token[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}

// Equal tells whether both were written alike.
func (h *Headers) Equal(other *Headers) bool {
	if h == nil || other == nil {
		return h == other
	}
	return bytes.Equal(h.raw, other.raw)
}

// MarshalJSON implements json.Marshaler.
func (h Headers) MarshalJSON() ([]byte, error) {
	if len(h.raw) == 0 {
		return []byte("null"), nil
	}
	return h.raw, nil
}

// UnmarshalJSON implements json.Unmarshaler. It accepts every JSON value.
func (h *Headers) UnmarshalJSON(raw []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	h.raw = nil
	if compact.String() != "null" {
		h.raw = compact.Bytes()
	}
	return nil
}

// DeepCopyInto copies h into out. What it holds is immutable and shared.
func (h *Headers) DeepCopyInto(out *Headers) { *out = *h }

// DeepCopy returns a copy of h.
func (h *Headers) DeepCopy() *Headers {
	if h == nil {
		return nil
	}
	out := new(Headers)
	h.DeepCopyInto(out)
	return out
}
