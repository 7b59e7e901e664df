package explain

import (
	"strings"
)

// judged is a request target where the destination's rules look at paths.
type judged struct {
	// Path is normalised and has no query; Target has the query again.
	Path, Target string
	// Malformed says why the request is answered with 400; else empty.
	Malformed string
	// Hidden says what a second decoding would bring to light, for which the
	// request is denied; else empty.
	Hidden string
}

// normalise returns the target as it is judged and passed on: dot segments
// are removed (RFC 3986, 5.2.4), also where a dot is encoded or a backslash
// stands for the slash, and runs of slashes are one. Encoded slashes are
// refused, as applications disagree about them.
func normalise(target string) judged {
	path, query, hasQuery := strings.Cut(target, "?")
	lower := strings.ToLower(path)
	switch {
	case strings.Contains(lower, "%2f"), strings.Contains(lower, "%5c"):
		return judged{Malformed: "the path has an encoded slash or backslash"}
	case strings.Contains(lower, "%00"):
		return judged{Malformed: "the path has an encoded zero byte"}
	}
	out := judged{Path: canonical(path)}
	out.Target = out.Path
	if hasQuery {
		out.Target += "?" + query
	}
	if once := strings.ToLower(decode(out.Path)); strings.Contains(once, "%2e") || strings.Contains(once, "%2f") || strings.Contains(once, "%5c") {
		out.Hidden = "the path has a dot or slash that is encoded twice"
	}
	return out
}

// canonical removes dot segments and empty ones. A path that ends in a dot
// segment or a slash keeps a slash at its end.
func canonical(path string) string {
	segments := strings.Split(strings.ReplaceAll(path, `\`, "/"), "/")
	kept := make([]string, 0, len(segments))
	slash := false
	for _, segment := range segments {
		slash = false
		switch decodeDots(segment) {
		case "", ".":
			slash = true
		case "..":
			slash = true
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	out := "/" + strings.Join(kept, "/")
	if slash && len(kept) > 0 {
		out += "/"
	}
	return out
}

func decodeDots(segment string) string {
	return strings.NewReplacer("%2e", ".", "%2E", ".").Replace(segment)
}

// decode decodes each percent-encoded byte once; what is no encoding stays.
func decode(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, okHigh := unhex(s[i+1])
			low, okLow := unhex(s[i+2])
			if okHigh && okLow {
				out.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
