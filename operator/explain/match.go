package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// concerns returns why the grant is about another caller or port, or "".
func concerns(grant mesh.Grant, caller mesh.Identity, port uint16) string {
	switch {
	case !slices.Contains(grant.Sources, caller):
		return "its sources do not include " + Caller{Identity: caller}.String()
	case len(grant.Ports) > 0 && !slices.Contains(grant.Ports, port):
		return fmt.Sprintf("its TCPRoutes do not include port %d", port)
	}
	return ""
}

// admits returns the match by which the grant admits the request at the port,
// or why it does not.
func admits(grant mesh.Grant, r Request, port uint16, path string) (match, why string) {
	why = concerns(grant, r.From.Identity, port)
	switch {
	case why != "" || len(grant.HTTP) == 0:
		return "", why
	case r.Protocol == TCP:
		return "", "it admits requests only, and this is a connection"
	}
	var tried []string
	for _, m := range grant.HTTP {
		why := fails(m, r, path, joined)
		if why == "" {
			return m.Name, ""
		}
		tried = append(tried, fmt.Sprintf("match %q: %s", m.Name, why))
	}
	return "", strings.Join(tried, "; ")
}

// joined makes the lines of one header one value (RFC 9110, 5.2), so that no
// line hides behind another. eachLine leaves them apart: one that matches is
// enough to choose a backend.
func joined(lines []string) []string   { return []string{strings.Join(lines, ",")} }
func eachLine(lines []string) []string { return lines }

// fails returns the first condition of the match that does not hold, or "".
func fails(m mesh.HTTPMatch, r Request, path string, values func(lines []string) []string) string {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, r.Method) {
		return fmt.Sprintf("method %s is not among %s", r.Method, strings.Join(m.Methods, " "))
	}
	if m.PathRegex != "" && !fullMatch(m.PathRegex, path) {
		return fmt.Sprintf("path %s does not match %s", path, m.PathRegex)
	}
	for _, h := range m.Headers {
		lines := r.lines(h.Name)
		if len(lines) == 0 {
			return fmt.Sprintf("there is no header %s", h.Name)
		}
		if !slices.ContainsFunc(values(lines), func(value string) bool { return fullMatch(h.Regex, value) }) {
			return fmt.Sprintf("header %s: %q does not match %s", h.Name, strings.Join(lines, ","), h.Regex)
		}
	}
	return ""
}

// fullMatch is RE2's on bytes, as proxies have it: the expression must cover
// the whole text, and each byte of both is a character. An expression that is
// none matches nothing.
func fullMatch(expression, text string) bool {
	re, err := regexp.Compile(`\A(?:` + characters(expression) + `)\z`)
	return err == nil && re.MatchString(characters(text))
}

// characters returns the text that has one character for each byte of s.
func characters(s string) string {
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}
