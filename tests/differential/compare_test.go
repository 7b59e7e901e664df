package differential_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/heddle-mesh/heddle/operator/explain"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// client returns one that connects as the request's caller and to where the
// request goes.
func (s *sidecar) client(t fataler, r explain.Request) *client {
	t.Helper()
	to := r.Address
	if r.To != (mesh.PortKey{}) {
		to = netip.AddrPortFrom(s.snapshot.Services.Get(r.To.Service).Addresses[0], r.To.Port)
	}
	if r.From.Outside || netip.MustParsePrefix(servicesAt).Contains(to.Addr()) {
		return &client{dial: func() (net.Conn, error) { return dialPlain(to) }}
	}
	alpn := "heddle"
	if r.Protocol == explain.TCP {
		alpn = "heddle-tcp"
	}
	cert := s.certificate(t, r.From.Identity)
	return &client{dial: func() (net.Conn, error) { return dialMesh(to, cert, alpn) }}
}

// difference says how the answer is not what the decision promises, or "". On
// HTTP/2 a malformed request may end the connection (RFC 9113, 8.1.1).
func difference(d explain.Decision, r explain.Request, a answer) string {
	outcome := d.Outcome
	if outcome == explain.BadRequest && r.Protocol == explain.HTTP2 && a.outcome == explain.Closed {
		return ""
	}
	var paths, backends []string
	for _, b := range d.Branches {
		backends = append(backends, b.Backend.Service.Name)
		for _, v := range b.Verdicts {
			if v.Outcome == explain.Admitted {
				paths = append(paths, v.Path)
			}
			if outcome == explain.Mixed && v.Outcome == a.outcome {
				outcome = a.outcome
			}
		}
		if outcome == explain.Mixed && b.Outcome == a.outcome {
			outcome = a.outcome
		}
	}
	switch {
	case outcome != a.outcome:
		return fmt.Sprintf("the model says %s, the proxy did: %s", d.Outcome, a)
	case a.outcome == explain.Admitted && a.target != "" && !slices.Contains(paths, "") && !slices.Contains(paths, a.target):
		return fmt.Sprintf("the model says %s gets %q, the proxy did: %s", a.backend, paths, a)
	case a.backend != "" && d.Split != "" && !slices.Contains(backends, a.backend):
		return fmt.Sprintf("the model says one of %q answers, the proxy did: %s", backends, a)
	}
	return ""
}

// bypass says how the backend, by its own reading of the path, was made to act
// on what the policy does not admit, or "". Line feeds are no way around.
func bypass(policy *mesh.Policy, r explain.Request, port uint16, a answer) string {
	if a.backend == "" || a.path == "" || !policy.Closed {
		return ""
	}
	for _, grant := range policy.Grants {
		if !slices.Contains(grant.Sources, r.From.Identity) || (len(grant.Ports) > 0 && !slices.Contains(grant.Ports, port)) {
			continue
		}
		if len(grant.HTTP) == 0 {
			return ""
		}
		for _, m := range grant.HTTP {
			if covers(m, r, a.path) {
				return ""
			}
		}
	}
	return fmt.Sprintf("%s reads the path as %q, which no rule admits", a.backend, a.path)
}

func covers(m mesh.HTTPMatch, r explain.Request, path string) bool {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, r.Method) {
		return false
	}
	if m.PathRegex != "" && !regexp.MustCompile(`(?s)\A(?:`+m.PathRegex+`)\z`).MatchString(path) {
		return false
	}
	for _, want := range m.Headers {
		var values []string
		if want.Name == "host" {
			values = append(values, r.Authority)
		}
		for _, h := range r.Headers {
			if strings.EqualFold(h.Name, want.Name) {
				values = append(values, h.Value)
			}
		}
		if len(values) == 0 || !regexp.MustCompile(`(?s)\A(?:`+want.Regex+`)\z`).MatchString(strings.Join(values, ",")) {
			return false
		}
	}
	return true
}

// show is a request in one line.
func show(r explain.Request) string {
	to := r.Address.String()
	switch {
	case r.To != (mesh.PortKey{}):
		to = r.To.String()
	case !r.Address.IsValid():
		to = "the pod"
	}
	protocol := [...]string{"HTTP/1.1", "HTTP/2", "TCP"}[r.Protocol]
	text := fmt.Sprintf("%s -> %s %s", r.From, to, protocol)
	if r.Protocol == explain.TCP {
		return text
	}
	text += fmt.Sprintf(" %q %q host %q", r.Method, r.Target, r.Authority)
	for _, h := range r.Headers {
		text += fmt.Sprintf(" [%q: %q]", h.Name, h.Value)
	}
	return text
}
