package build

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
)

const (
	// maxRegex bounds expressions, as the schema does for paths.
	maxRegex = 1024
	// maxProgram bounds what a proxy compiles an expression to. RE2 refuses
	// larger ones, and with them all the routes they stand in.
	maxProgram = 50_000
)

// checkRegex tells whether a proxy will take the expression. It only parses:
// compiling would cost what it is here to prevent.
func checkRegex(expression string) error {
	if len(expression) > maxRegex {
		return fmt.Errorf("longer than %d bytes", maxRegex)
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return err
	}
	if class := foreignClass(expression); class != "" {
		return fmt.Errorf("%s is no class of RE2; use the short name of a category, such as L or Lu, or that of a script", class)
	}
	if programSize(parsed) > maxProgram {
		return errors.New("too costly: repeat large classes less often")
	}
	return nil
}

// programSize estimates the instructions that the expression takes: one for
// each rune and for each end of a range in a class, times the repetitions.
// It stops counting above maxProgram.
func programSize(re *syntax.Regexp) int {
	var size int
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass:
		size = max(1, len(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		size = 4 // two ranges
	default:
		size = 1
	}
	for _, sub := range re.Sub {
		size = min(size+programSize(sub), maxProgram+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(1, re.Min, re.Max)
	}
	return min(size, maxProgram+1)
}

// foreignClass returns the first Unicode class that Go knows and RE2 does not:
// long names of categories, names in other case, and a few new ones.
func foreignClass(expression string) string {
	for rest := expression; ; {
		at := strings.IndexByte(rest, '\\')
		if at < 0 || at+1 == len(rest) {
			return ""
		}
		escape := rest[at+1]
		rest = rest[at+2:]
		switch escape {
		case 'Q':
			_, rest, _ = strings.Cut(rest, `\E`)
		case 'p', 'P':
			braced, ok := strings.CutPrefix(rest, "{")
			if !ok {
				continue // one letter, which the parser has looked up
			}
			name, _, _ := strings.Cut(braced, "}")
			name = strings.TrimPrefix(name, "^")
			category := unicode.Categories[name] != nil && name != "Cn" && name != "LC"
			if !category && unicode.Scripts[name] == nil && name != "Any" {
				return `\` + string(escape) + "{" + name + "}"
			}
		}
	}
}
