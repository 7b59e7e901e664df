package validate

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Problem is one thing that is wrong with one field.
type Problem struct {
	// Field is a path such as spec.backends[0].weight.
	Field string
	// Value is what stands there; nil if that nothing does is the problem.
	Value any
	// Reason is that of the condition which tells of it, or unconditional.
	Reason string
	// Ref is whether it is about one reference of several: the rest of the
	// object stands, and the condition is ResolvedRefs. It is Accepted
	// otherwise.
	Ref bool
	// Message says what is wrong and what to do.
	Message string
}

// unconditional is the reason of what no condition tells of.
const unconditional = ""

func (p Problem) String() string { return p.Field + ": " + p.Message }

// Result is what is to be said of an object.
type Result struct {
	// Errors are what can never work.
	Errors []Problem
	// Warnings are what works, and is likely not what was meant.
	Warnings []Problem
}

// NewlyBroken returns the problems that an update brings: those of the object
// as it is now which it did not have before, wherever in a list they stood. An
// object from before a check must stay open to every other change.
func NewlyBroken(before, now []Problem) []Problem {
	had := map[string]int{}
	for _, p := range before {
		had[p.anywhere()]++
	}
	var out []Problem
	for _, p := range now {
		if had[p.anywhere()]--; had[p.anywhere()] < 0 {
			out = append(out, p)
		}
	}
	return out
}

var index = regexp.MustCompile(`\[\d+\]`)

// anywhere is the problem without its place in lists.
func (p Problem) anywhere() string {
	return index.ReplaceAllLiteralString(p.Field, "[]") + "\x00" + p.Reason + "\x00" + p.Message
}

func problemf(at *field.Path, value any, reason, format string, args ...any) Problem {
	return Problem{Field: at.String(), Value: value, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func (r *Result) refusef(at *field.Path, value any, reason, format string, args ...any) {
	r.Errors = append(r.Errors, problemf(at, value, reason, format, args...))
}

func (r *Result) warnf(at *field.Path, value any, reason, format string, args ...any) {
	r.Warnings = append(r.Warnings, problemf(at, value, reason, format, args...))
}

// add takes over what was found about a reference.
func (r *Result) add(reference Result) {
	for _, problems := range [][]Problem{reference.Errors, reference.Warnings} {
		for i := range problems {
			problems[i].Ref = true
		}
	}
	r.Errors = append(r.Errors, reference.Errors...)
	r.Warnings = append(r.Warnings, reference.Warnings...)
}

// named tells whether the field holds a name that some object of the kind can
// have, and refuses it otherwise.
func (r *Result) named(at *field.Path, name, kind string, check func(string) []string) bool {
	switch {
	case name == "":
		r.refusef(at, nil, heddlev1alpha1.ReasonInvalid, "it is empty; name a %s", kind)
		return false
	case len(check(name)) > 0:
		r.refusef(at, name, heddlev1alpha1.ReasonInvalid, "no %s can be named %s; %s", kind, quoted(name), remedyOf(name, kind))
		return false
	}
	return true
}

// remedyOf guesses what was meant by a name that can't be one.
func remedyOf(name, kind string) string {
	if short, _, qualified := strings.Cut(name, "."); qualified && kind == "Service" && len(isServiceName(short)) == 0 {
		return fmt.Sprintf("leave out namespace and domain: %s", quoted(short))
	}
	return "use lower-case letters, digits and dashes"
}

// isServiceName is for Services and namespaces, isObjectName for the others.
func isServiceName(name string) []string { return validation.IsDNS1123Label(name) }
func isObjectName(name string) []string  { return validation.IsDNS1123Subdomain(name) }

// maxQuoted is how much of a value is repeated in a message.
const maxQuoted = 80

// quoted returns the value as it is shown to people.
func quoted(value string) string {
	if len(value) <= maxQuoted {
		return fmt.Sprintf("%q", value)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return fmt.Sprintf("%q...", value[:cut])
}
