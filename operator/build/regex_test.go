package build

import (
	"strings"
	"testing"
)

func TestCheckRegex(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		expression string
		// says is of the error, empty where it is fine.
		says string
	}{
		"nothing":                            {"", ""},
		"a path":                             {`/items(/[^/]+)*`, ""},
		"just short enough":                  {strings.Repeat("a", 1024), ""},
		"too long":                           {strings.Repeat("a", 1025), "longer than 1024 bytes"},
		"a group that is left open":          {`(`, "missing closing )"},
		"a look-ahead is not RE2":            {`(?=a)`, "invalid"},
		"a back-reference is not RE2":        {`(a)\1`, "invalid escape"},
		"a repetition of 1001":               {`a{1001}`, "invalid repeat count"},
		"repetitions that multiply":          {`((a{10}){10}){11}`, "invalid repeat count"},
		"what is not UTF-8":                  {"\xff", "invalid UTF-8"},
		"a category":                         {`\pL\p{Lu}\P{N}\p{^Z}`, ""},
		"a script":                           {`[\p{Greek}\P{Han}]`, ""},
		"any":                                {`\p{Any}`, ""},
		"a category by its long name":        {`/\p{Letter}+`, `\p{Letter} is no class of RE2`},
		"a category by its long name, not":   {`/[^\P{^Uppercase_Letter}]`, `\P{Uppercase_Letter} is no class`},
		"a category in other case":           {`\p{lu}`, `\p{lu} is no class`},
		"a property that only Go has":        {`\p{ASCII}`, `\p{ASCII} is no class`},
		"a category that only Go has":        {`\p{L}\p{Cn}`, `\p{Cn} is no class`},
		"another that only Go has":           {`\p{LC}`, `\p{LC} is no class`},
		"a class behind an escaped slash":    {`\\p{Letter}`, ""},
		"an escaped slash and a class":       {`\\\p{Letter}`, `\p{Letter} is no class`},
		"a class that is quoted":             {`\Q\p{Letter}\E`, ""},
		"a class behind what is quoted":      {`\Q\\E\p{Letter}`, `\p{Letter} is no class`},
		"a class behind an open quote":       {`\Q\p{Letter}`, ""},
		"a large class":                      {`/(\p{L}|\p{M}|\p{N})+/\p{L}{1,20}`, ""},
		"a large class a thousand times":     {`\pL{1000}`, "too costly"},
		"a large class at least that often":  {`\pL{1000,}`, "too costly"},
		"a large class at most that often":   {`\pL{0,1000}`, "too costly"},
		"large classes that repeat together": {`(?:(?:x\pL){10}y){10}`, "too costly"},
		"large classes side by side":         {strings.Repeat(`\pL`, 100), "too costly"},
		"any character a thousand times":     {`.{1000}`, ""},
		"any character ever again":           {strings.Repeat(`.{1000}`, 13), "too costly"},
		"small classes a thousand times":     {`[a-z0-9_-]{1000}`, ""},
		"repetitions of nothing":             {`(?:){1000}`, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkRegex(tc.expression)
			if tc.says == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}
