package validate

import (
	"regexp"
	"regexp/syntax"
	"testing"
)

// An expression that is let through compiles, to something not much larger
// than was estimated.
func FuzzRegex(f *testing.F) {
	for _, expression := range []string{
		"/items(/.*)?", `\pL{1000}`, everyOther + "{1000}", `\x{10FFFF}`, `[\200]`, `(?i)\p{Greek}+`, `\Q\p{Letter}\E`, `((a{10}){10}){10}`, `[^\x{81}-\x{10FFFE}]{2,5}`, `\`, `\p`, `\p{`, `\p{^`,
	} {
		f.Add(expression)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if Regex(expression) != nil {
			return
		}
		if _, err := regexp.Compile(expression); err != nil {
			t.Fatalf("let through: %v", err)
		}
		parsed, err := syntax.Parse(expression, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, instruction := range program.Inst {
			size += 1 + len(instruction.Rune)
		}
		if size > 4*maxProgram {
			t.Errorf("let through with a program of %d", size)
		}
	})
}

// What is said to match no path matches none.
func FuzzNeverAPath(f *testing.F) {
	for _, expression := range []string{"a", "^a", `/a\?b`, "(a|b)+", "(a|/)", "(?i)A", `\?*`, "a*/", "()a", "|a", `(?m)^a`, "(?:a|)", `\*`} {
		f.Add(expression, "/a")
	}
	f.Fuzz(func(t *testing.T, expression, path string) {
		if re, err := parsed(expression); err != nil || neverAPath(re) == "" {
			return
		}
		whole, err := regexp.Compile(`\A(?:` + expression + `)\z`)
		if err != nil {
			return // an end of a quote or the like
		}
		for _, c := range path {
			if c == '?' {
				return
			}
		}
		for _, path := range []string{"/" + path, "/", "/a", "/a/b", "*"} {
			if whole.MatchString(path) {
				t.Errorf("%q matches %q", expression, path)
			}
		}
	})
}
