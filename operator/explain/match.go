package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// admits returns the match by which the grant admits the request at the port,
// or why it does not.
func admits(grant mesh.Grant, r Request, port uint16, path string) (match, why string) {
	switch {
	case !slices.Contains(grant.Sources, r.From.Identity):
		return "", "its sources do not include " + r.From.String()
	case len(grant.Ports) > 0 && !slices.Contains(grant.Ports, port):
		return "", fmt.Sprintf("its TCPRoutes do not include port %d", port)
	case len(grant.HTTP) == 0:
		return "", ""
	case r.Protocol == TCP:
		return "", "it admits requests only, and this is a connection"
	}
	var tried []string
	for _, m := range grant.HTTP {
		why := fails(m, r, path)
		if why == "" {
			return m.Name, ""
		}
		tried = append(tried, fmt.Sprintf("match %q: %s", m.Name, why))
	}
	return "", strings.Join(tried, "; ")
}

// fails returns the first condition of the match that does not hold, or "".
func fails(m mesh.HTTPMatch, r Request, path string) string {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, r.Method) {
		return fmt.Sprintf("method %s is not among %s", r.Method, strings.Join(m.Methods, " "))
	}
	if m.PathRegex != "" && !fullMatch(m.PathRegex, path) {
		return fmt.Sprintf("path %s does not match %s", path, m.PathRegex)
	}
	for _, h := range m.Headers {
		value, ok := r.header(h.Name)
		switch {
		case !ok:
			return fmt.Sprintf("there is no header %s", h.Name)
		case !fullMatch(h.Regex, value):
			return fmt.Sprintf("header %s: %q does not match %s", h.Name, value, h.Regex)
		}
	}
	return ""
}

// fullMatch is RE2's: the expression must cover the whole text, and text that
// is not UTF-8 matches nothing, but for ".*", which stands for anything. An
// expression that is none matches nothing.
func fullMatch(expression, text string) bool {
	if expression == ".*" && !strings.Contains(text, "\n") {
		return true
	}
	re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
	return err == nil && utf8.ValidString(text) && re.MatchString(text)
}
