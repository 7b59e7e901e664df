package validate

import (
	"strings"
	"testing"
)

// everyOther is a class of as many ranges as there are without going beyond
// ASCII, nearly.
const everyOther = `[acegikmoqsuwyACEGIKMOQSUWY02468]`

func TestRegex(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		expression string
		// says is of the error, empty where it is fine.
		says string
	}{
		"nothing":                             {"", ""},
		"a path":                              {`/items(/[^/]+)*`, ""},
		"just short enough":                   {strings.Repeat("a", 1024), ""},
		"too long":                            {strings.Repeat("a", 1025), "longer than 1024 bytes"},
		"a group that is left open":           {`(`, "missing closing )"},
		"a look-ahead is not RE2":             {`(?=a)`, "invalid"},
		"a back-reference is not RE2":         {`(a)\1`, "invalid escape"},
		"a repetition of 1001":                {`a{1001}`, "invalid repeat count"},
		"repetitions that multiply":           {`((a{10}){10}){11}`, "invalid repeat count"},
		"what is not UTF-8":                   {"\xff", "invalid UTF-8"},
		"every character of ASCII":            {`[\x00-\x7f\x{7F}\177]\0\t[[:ascii:]]`, ""},
		"all but one character":               {`[^/]+`, ""},
		"a letter that is not of ASCII":       {`/ü`, "ü: proxies compare bytes"},
		"such letters in a class":             {`[а-я]`, "а: proxies compare bytes"},
		"such a letter quoted":                {`\Qü\E`, "ü: proxies compare bytes"},
		"a number above a byte's":             {`\x{10FFFF}`, `\x{10FFFF}: proxies compare bytes`},
		"a number above a byte's, in a class": {`[a-\x{0100}]`, `\x{0100}: proxies compare bytes`},
		"a number above ASCII's":              {`\x{80}`, `\x{80}: proxies`},
		"a short number above ASCII's":        {`a\xe9b`, `\xe9: proxies`},
		"an octal number above ASCII's":       {`\200`, `\200: proxies`},
		"a category":                          {`a\pLb`, `\pL: proxies`},
		"a category, not":                     {`[^\P{^Lu}]`, `\P{^Lu}: proxies`},
		"a script":                            {`\p{Greek}+`, `\p{Greek}: proxies`},
		"a category behind an escaped slash":  {`\\p{Letter}`, ""},
		"an escaped slash and a category":     {`\\\pL`, `\pL: proxies`},
		"a category that is quoted":           {`\Q\pL\x{100}\E`, ""},
		"a category behind what is quoted":    {`\Q\\E\pL`, `\pL: proxies`},
		"a category behind an open quote":     {`\Q\pL`, ""},
		"a number behind an escaped slash":    {`\\x{1}`, ""},
		"a large class":                       {everyOther + "{100}", ""},
		"a large class a thousand times":      {everyOther + "{1000}", "too costly"},
		"a large class at least that often":   {everyOther + "{1000,}", "too costly"},
		"a large class at most that often":    {everyOther + "{0,1000}", "too costly"},
		"large classes that repeat together":  {"(?:(?:x" + everyOther + "{10}){10}y){10}", "too costly"},
		"large classes side by side":          {strings.Repeat(everyOther+"{100}", 12), "too costly"},
		"any character a thousand times":      {`.{1000}`, ""},
		"any character ever again":            {strings.Repeat(`.{1000}`, 13), "too costly"},
		"small classes a thousand times":      {`[a-z0-9_-]{1000}`, ""},
		"repetitions of nothing":              {`(?:){1000}`, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Regex(tc.expression)
			if tc.says == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("%v, want %q", err, tc.says)
			}
		})
	}
}

// A class of letters that repeats costs a compiler far more than its few bytes.
func BenchmarkRegex(b *testing.B) {
	for _, expression := range []string{`/items(/[^/]+)*`, everyOther + "{1000}"} {
		b.Run(expression, func(b *testing.B) {
			for b.Loop() {
				_ = Regex(expression)
			}
		})
	}
}
