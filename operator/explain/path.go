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

// normalise returns the target as it is judged and passed on: escapes of
// unreserved characters are decoded (RFC 3986, 6.2.2.2), a backslash is a
// slash, dot segments are removed (5.2.4), runs of slashes are one. Encoded
// slashes are refused, as applications disagree about them.
func normalise(target string) judged {
	path, query, hasQuery := strings.Cut(target, "?")
	lower := strings.ToLower(path)
	switch {
	case strings.Contains(lower, "%2f"), strings.Contains(lower, "%5c"):
		return judged{Malformed: "the path has an encoded slash or backslash"}
	case strings.Contains(lower, "%00"):
		return judged{Malformed: "the path has an encoded zero byte"}
	}
	out := judged{Path: mergeSlashes(removeDots(strings.ReplaceAll(decode(path, unreserved), `\`, "/")))}
	out.Target = out.Path
	if hasQuery {
		out.Target += "?" + query
	}
	if once := strings.ToLower(decode(out.Path, anyByte)); strings.Contains(once, "%2e") || strings.Contains(once, "%2f") || strings.Contains(once, "%5c") {
		out.Hidden = "the path has a dot or slash that is encoded twice"
	}
	return out
}

// removeDots resolves "." and ".." among the segments; empty segments are
// segments, too.
func removeDots(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	kept := make([]string, 0, len(segments))
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

func mergeSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

func anyByte(byte) bool { return true }

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// decode decodes each percent-encoded byte that is wanted once; what is no
// encoding stays.
func decode(s string, wanted func(byte) bool) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, okHigh := unhex(s[i+1])
			low, okLow := unhex(s[i+2])
			if okHigh && okLow && wanted(high<<4|low) {
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
