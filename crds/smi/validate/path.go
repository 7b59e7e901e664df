package validate

import (
	"regexp/syntax"
	"slices"
)

// everyPath tells whether an expression is one of those by which people mean
// every path.
func everyPath(expression string) bool {
	return slices.Contains([]string{"", ".*", ".+", "/.*", "^.*$", "^/.*", "^/.*$"}, expression)
}

// neverAPath says why an expression can't match the whole of any path, and
// what to write; empty if it may.
func neverAPath(re *syntax.Regexp) string {
	switch {
	case startsElsewhere(re):
		return "a path begins with /; begin the expression with it"
	case needsQuestionMark(re):
		return "the query is no part of the path; leave out the question mark and what follows"
	}
	return ""
}

// startsElsewhere tells whether all that the expression matches begins with a
// character that no path does. The path of OPTIONS may be *.
func startsElsewhere(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return re.Rune[0] != '/' && re.Rune[0] != '*'
	case syntax.OpCapture, syntax.OpPlus:
		return startsElsewhere(re.Sub[0])
	case syntax.OpAlternate:
		return every(re.Sub, startsElsewhere)
	case syntax.OpConcat:
		at := slices.IndexFunc(re.Sub, func(sub *syntax.Regexp) bool { return !slices.Contains(empty, sub.Op) })
		return at >= 0 && startsElsewhere(re.Sub[at])
	default:
		return false
	}
}

// empty match no character.
var empty = []syntax.Op{syntax.OpBeginLine, syntax.OpBeginText, syntax.OpEmptyMatch}

// needsQuestionMark tells whether all that the expression matches has one.
func needsQuestionMark(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return slices.Contains(re.Rune, '?')
	case syntax.OpCapture, syntax.OpPlus:
		return needsQuestionMark(re.Sub[0])
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, needsQuestionMark)
	case syntax.OpAlternate:
		return every(re.Sub, needsQuestionMark)
	default:
		return false
	}
}

func every(of []*syntax.Regexp, holds func(*syntax.Regexp) bool) bool {
	return !slices.ContainsFunc(of, func(re *syntax.Regexp) bool { return !holds(re) })
}
