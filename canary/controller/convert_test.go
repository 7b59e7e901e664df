package controller

import (
	"strings"
	"testing"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func TestRequestOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ verb, revision string }{
		"":                     {"", ""},
		"  ":                   {"", ""},
		"abort":                {"abort", ""},
		"abort 1":              {"abort", ""},
		"promote@a1b2 tonight": {"promote", "a1b2"},
		"dance@":               {"dance", ""},
	}
	for value, want := range tests {
		c := &heddlev1alpha1.Canary{}
		c.Annotations = map[string]string{heddlev1alpha1.AnnotationRequest: value}
		if got := requestOf(c); string(got.Verb) != want.verb || got.Revision != want.revision || want.verb != "" && got.Token != value {
			t.Errorf("requestOf(%q) = %+v", value, got)
		}
	}
}

// FuzzRequestOf: whatever somebody writes, its token fits into status, and two
// readings of it are the same request.
func FuzzRequestOf(f *testing.F) {
	for _, s := range []string{"abort", "promote@a 1", "@", "\xff", strings.Repeat("é", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := &heddlev1alpha1.Canary{}
		c.Annotations = map[string]string{heddlev1alpha1.AnnotationRequest: value}
		got := requestOf(c)
		if len(got.Token) > longest || strings.ToValidUTF8(got.Token, "") != got.Token || got != requestOf(c) || got.Verb == "" && got.Token == "" && got.Revision != "" {
			t.Errorf("requestOf(%q) = %+v", value, got)
		}
	})
}

// FuzzShare: a percentage is between 0 and 1, or the default.
func FuzzShare(f *testing.F) {
	for _, s := range []string{"5%", "0.25%", "0%", "100%", "NaN%", "1e400%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := share(heddlev1alpha1.Percentage(s), 0.05); !(got > 0 && got < 1) {
			t.Errorf("share(%q) = %v", s, got)
		}
	})
}
