package explain

import (
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target, want      string
		malformed, hidden bool
	}{
		"leaves a plain path":                       {target: "/public/x", want: "/public/x"},
		"keeps the query as it is":                  {target: "/a/../b?c=/../%2f", want: "/b?c=/../%2f"},
		"removes dot segments":                      {target: "/a/./b/../c", want: "/a/c"},
		"stops at the root":                         {target: "/../../a", want: "/a"},
		"ends in a slash after a dot segment":       {target: "/a/b/..", want: "/a/"},
		"counts an empty segment as one":            {target: "/a/.//../b", want: "/a/b"},
		"merges slashes":                            {target: "//a///b//", want: "/a/b/"},
		"takes a backslash for a slash":             {target: `/a/..\b`, want: "/b"},
		"decodes dots":                              {target: "/a/%2e%2E/b", want: "/b"},
		"ignores parameters of dot segments":        {target: "/a/..;v=1/b", want: "/b"},
		"denies dot segments hidden so":             {target: "/a/%2e%2e;v=1/b", want: "/a/..;v=1/b", hidden: true},
		"also by an encoded semicolon":              {target: "/a/..%3Bv=1/b", want: "/a/..%3Bv=1/b", hidden: true},
		"also behind a backslash":                   {target: `/a\..;/b`, want: "/a/..;/b", hidden: true},
		"leaves parameters of other segments":       {target: "/a;v=1/b", want: "/a;v=1/b"},
		"decodes what needs no encoding":            {target: "/%61%2D%5f%7E%30", want: "/a-_~0"},
		"leaves other escapes":                      {target: "/a%20b%3f%c0%af", want: "/a%20b%3f%c0%af"},
		"encodes what may not stand in a path":      {target: "/\"<>^`{|}é", want: "/%22%3C%3E%5E%60%7B%7C%7D%C3%A9"},
		"leaves a percent sign that is none":        {target: "/100%/%zz", want: "/100%/%zz"},
		"leaves an encoded percent sign":            {target: "/100%25", want: "/100%25"},
		"refuses an encoded slash":                  {target: "/a%2Fb", malformed: true},
		"refuses an encoded backslash":              {target: "/a%5cb", malformed: true},
		"refuses an encoded zero":                   {target: "/a%00", malformed: true},
		"allows all of these in the query":          {target: "/a?%2F%5c%00", want: "/a?%2F%5c%00"},
		"denies a dot that is encoded twice":        {target: "/a/%252e%252e/b", want: "/a/%252e%252e/b", hidden: true},
		"denies a letter that is encoded twice":     {target: "/%2561dmin", want: "/%2561dmin", hidden: true},
		"denies an escape of escapes":               {target: "/%25%32%65", want: "/%252e", hidden: true},
		"denies an escape that decoding would make": {target: "/%2%65", want: "/%252e", hidden: true},
		"denies slashes and nothing else":           {target: "///", want: "/", hidden: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := normalise(tc.target)
			if (got.Malformed != "") != tc.malformed || (got.Hidden != "") != tc.hidden || got.Target != tc.want {
				t.Errorf("normalise(%q) = %+v", tc.target, got)
			}
		})
	}
}

// FuzzNormalise looks for paths that are not what normalise promises: it has
// nothing left to do, and leaves nothing that an application could read as
// another path.
func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "//", `/\..`, "/%2e%2e/%61", "/%2%65", "/%%32e", "/..;a/b", "/.;/..", "/%25%32%65?x", "/a//..", "/..//;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if malformed(Request{Protocol: HTTP2, Method: "GET", Target: target, Authority: "a"}) != "" {
			return
		}
		once := normalise(target)
		if once.Malformed != "" || once.Hidden != "" {
			return
		}
		if twice := normalise(once.Target); twice != once {
			t.Errorf("%q is %+v, and that %+v", target, once, twice)
		}
		for segment := range strings.SplitSeq(strings.TrimPrefix(decode(once.Path), "/"), "/") {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				t.Errorf("%q has %q left in %q", target, segment, once.Path)
			}
		}
		if strings.Contains(decode(once.Path), "//") || strings.Contains(decode(once.Path), `\`) {
			t.Errorf("%q has slashes left in %q", target, once.Path)
		}
	})
}
