package explain

import "strings"

// absolute returns the request with its target in origin form: where HTTP/1
// names a whole URL, that URL's authority counts and not the Host header's
// (RFC 9112, 3.2.2).
func absolute(r Request) Request {
	if r.Protocol != HTTP1 {
		return r
	}
	for _, scheme := range []string{"http://", "https://"} {
		if len(r.Target) > len(scheme) && strings.EqualFold(r.Target[:len(scheme)], scheme) {
			rest := r.Target[len(scheme):]
			end := strings.IndexAny(rest, "/?")
			if end < 0 {
				end = len(rest)
			}
			r.Authority, r.Target = rest[:end], rest[end:]
			if !strings.HasPrefix(r.Target, "/") {
				r.Target = "/" + r.Target
			}
			return r
		}
	}
	return r
}

// malformed returns why a request is no HTTP that a proxy passes on, or "".
func malformed(r Request) string {
	switch {
	case strings.Contains(r.Target, "#"):
		return "the target has a fragment, which no request may have"
	case r.Authority == "":
		return "there is no host"
	}
	return ""
}
