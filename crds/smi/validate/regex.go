package validate

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxRegex bounds expressions, as the schema does for paths.
	maxRegex = 1024
	// maxProgram bounds what a proxy compiles an expression to. RE2 refuses
	// larger ones, and with them all the routes they stand in.
	maxProgram = 50_000
)

// Regex tells whether a proxy will take the expression and read it as it is
// meant; the error says what to do. It only parses: compiling would cost what
// it is here to prevent.
//
// Envoy has RE2 take expression and text byte by byte. An expression of ASCII
// means the same either way, but for other characters in the text, each of
// which counts as the bytes of its UTF-8. One with other characters would mean
// other bytes, and their numbers Envoy refuses, and with them all the routes
// that they stand in.
func Regex(expression string) error {
	_, err := parsed(expression)
	return err
}

// parsed is Regex for who looks further into the expression.
func parsed(expression string) (*syntax.Regexp, error) {
	if len(expression) > maxRegex {
		return nil, fmt.Errorf("longer than %d bytes; divide it among several matches", maxRegex)
	}
	re, err := syntax.Parse(expression, syntax.Perl)
	var wrong *syntax.Error
	switch {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%s in %s; write RE2, which has no look-ahead and no back-references", wrong.Code, quoted(wrong.Expr))
	case err != nil:
		return nil, err
	}
	if part := beyondASCII(expression); part != "" {
		return nil, fmt.Errorf("%s: proxies compare bytes, so only ASCII can be named; .+ stands for other characters", part)
	}
	if programSize(re) > maxProgram {
		return nil, errors.New("too costly; repeat large classes less often")
	}
	return re, nil
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

// beyondASCII returns the first part of the expression that is about other
// characters than ASCII's, or empty.
func beyondASCII(expression string) string {
	for i, c := range expression {
		if c > unicode.MaxASCII {
			_, size := utf8.DecodeRuneInString(expression[i:])
			return expression[i : i+size]
		}
	}
	for rest := expression; ; {
		at := strings.IndexByte(rest, '\\')
		if at < 0 || at+1 == len(rest) {
			return ""
		}
		escape := rest[at:]
		rest = rest[at+2:]
		switch c := escape[1]; c {
		case 'Q':
			_, rest, _ = strings.Cut(rest, `\E`)
		case 'p', 'P':
			if name, _, ok := strings.Cut(escape, "}"); ok && strings.HasPrefix(rest, "{") {
				return name + "}"
			}
			return escape[:min(3, len(escape))]
		case 'x', '0', '1', '2', '3', '4', '5', '6', '7':
			if code := characterCode.FindString(escape); codeOf(code) > unicode.MaxASCII {
				return code
			}
		}
	}
}

// characterCode is an escape that gives a character by its number.
var characterCode = regexp.MustCompile(`^\\(x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|[0-7]{1,3})`)

// codeOf returns the number in such an escape.
func codeOf(escape string) uint64 {
	digits, base := strings.TrimPrefix(escape, `\`), 8
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = strings.Trim(hex, "{}"), 16
	}
	code, _ := strconv.ParseUint(digits, base, 64) // the parser has seen that it is one
	return code
}
