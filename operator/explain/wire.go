package explain

import (
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

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

// readable is false for bytes that are not taken for HTTP where the protocol is
// found by looking: between an application and its sidecar, and from outside
// the mesh. They are a connection then. HTTP/2 begins with a preface, and who
// dials a meshed pod's own address is taken to speak HTTP to its sidecar.
func (e *explanation) readable() bool {
	r := e.request
	k, isPod := e.pod(r.Address)
	if r.Protocol == HTTP2 || (!r.From.Outside && r.To == (mesh.PortKey{}) && isPod && k.meshed) {
		return true
	}
	begins := strings.HasPrefix(r.Target, "/") || strings.HasPrefix(r.Target, "*") || strings.Contains(r.Target, "://")
	return begins && r.Method != "" && !strings.ContainsFunc(r.Method+r.Target, func(c rune) bool { return c == ' ' || c > 0x7e })
}

// registered are the methods that HTTP/1 proxies know; they refuse others, as
// they can't tell how such a message ends. HTTP/2 frames every method alike.
var registered = strings.Fields(`ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY
	MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE
	TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE`)

// malformed returns why a request is no HTTP that a proxy passes on, or "".
func malformed(r Request) string {
	switch {
	case r.Protocol == HTTP1 && !slices.Contains(registered, r.Method):
		return "HTTP/1 has no method " + r.Method
	case r.Method == "CONNECT":
		return "CONNECT asks for a tunnel, and there are none"
	case !strings.HasPrefix(r.Target, "/"):
		return "the target does not begin with a slash"
	case strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return "the target has a space or control character"
	case r.Protocol == HTTP1 && strings.ContainsFunc(r.Target, func(c rune) bool { return c > 0x7f }):
		return "on HTTP/1 the target is ASCII"
	case strings.Contains(r.Target, "#"):
		return "the target has a fragment, which no request may have"
	case r.Authority == "":
		return "there is no host"
	case r.Protocol == HTTP2 && slices.ContainsFunc(r.Headers, func(h Header) bool { return h.Name != strings.ToLower(h.Name) }):
		return "on HTTP/2 header names are in lower case"
	}
	return ""
}
