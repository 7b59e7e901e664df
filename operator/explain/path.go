package explain

import (
	"fmt"
	"slices"
	"strings"
)

// judged is a request target where the destination's rules look at paths.
type judged struct {
	// Path is normalised and has no query; Target has the query again.
	Path, Target string
	// Malformed says why the request is answered with 400; else empty.
	Malformed string
	// Hidden says why an application may read another path than is judged, for
	// which the request is denied; else empty.
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
	resolved := removeDots(strings.ReplaceAll(recode(dropParameters(path)), `\`, "/"))
	out := judged{Path: mergeSlashes(resolved)}
	out.Target = out.Path
	if hasQuery {
		out.Target += "?" + query
	}
	if once := decode(out.Path); decode(once) != once {
		out.Hidden = "the path has a character that is encoded twice"
	}
	if slices.ContainsFunc(strings.Split(out.Path, "/"), dotted) {
		out.Hidden = "the path has a dot segment with parameters, and one of them encoded"
	}
	if out.Path == "/" && resolved != "/" {
		out.Hidden = "the path is nothing but slashes"
	}
	return out
}

// dropParameters takes the parameters from dot segments that are plainly
// written.
func dropParameters(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if name, _, ok := strings.Cut(segment, ";"); ok && (name == "." || name == "..") {
			segments[i] = name
		}
	}
	return strings.Join(segments, "/")
}

// dotted is true for what an application may take for a dot segment.
func dotted(segment string) bool {
	name, _, _ := strings.Cut(decode(segment), ";")
	return name == "." || name == ".."
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

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// decode decodes each percent-encoded byte once; what is no encoding stays.
func decode(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if c, ok := escape(s[i:]); ok {
			out.WriteByte(c)
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// recode decodes the escapes of unreserved characters and encodes what may not
// stand in a path. A percent sign that began no escape but does now is encoded
// itself, so that decoding makes nothing new.
func recode(path string) string {
	var out []byte
	var stray []int
	for i := 0; i < len(path); i++ {
		c, ok := escape(path[i:])
		switch {
		case ok && unreserved(c):
			out = append(out, c)
			i += 2
		case ok:
			out = append(out, path[i:i+3]...)
			i += 2
		default:
			if path[i] == '%' {
				stray = append(stray, len(out))
			}
			if c := path[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0 {
				out = fmt.Appendf(out, "%%%02X", c)
			} else {
				out = append(out, c)
			}
		}
	}
	for _, at := range slices.Backward(stray) {
		if _, ok := escape(string(out[at:])); ok {
			out = slices.Insert(out, at+1, '2', '5')
		}
	}
	return string(out)
}

// escape returns the byte that s begins with the encoding of.
func escape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, okHigh := unhex(s[1])
	low, okLow := unhex(s[2])
	return high<<4 | low, okHigh && okLow
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
