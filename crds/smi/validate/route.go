package validate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// methods are those that a match may name.
var methods = []string{specsv1alpha4.MethodAny, "GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// HTTPRouteGroup judges a group.
func HTTPRouteGroup(group *specsv1alpha4.HTTPRouteGroup) Result {
	var r Result
	for _, match := range HTTPMatches(group) {
		r.Errors = append(r.Errors, match.Errors...)
		r.Warnings = append(r.Warnings, match.Warnings...)
	}
	if len(group.Spec.Matches) == 0 {
		r.warnf(field.NewPath("spec", "matches"), nil, unconditional, "there are none, so no request is in the group; describe one")
	}
	return r
}

// HTTPMatches judges each match of a group: one with an error holds for no
// request, since understood in part it would admit more than it says. The
// others stand.
func HTTPMatches(group *specsv1alpha4.HTTPRouteGroup) []Result {
	out := make([]Result, len(group.Spec.Matches))
	named := map[string]bool{}
	for i, match := range group.Spec.Matches {
		at := field.NewPath("spec", "matches").Index(i)
		out[i].match(at, match)
		if named[match.Name] {
			out[i].refusef(at.Child("name"), match.Name, heddlev1alpha1.ReasonInvalid, "%s is the name of a match before it; give it another", quoted(match.Name))
		}
		named[match.Name] = true
	}
	return out
}

func (r *Result) match(at *field.Path, m specsv1alpha4.HTTPMatch) {
	if m.Name == "" {
		r.refusef(at.Child("name"), nil, heddlev1alpha1.ReasonInvalid, "it is empty; give the match a name of its own")
	}
	if path, err := parsed(m.PathRegex); err != nil {
		r.refusef(at.Child("pathRegex"), m.PathRegex, heddlev1alpha1.ReasonInvalidRegex, "%v", err)
	} else if why := neverAPath(path); why != "" {
		r.warnf(at.Child("pathRegex"), m.PathRegex, unconditional, "it holds for no request: %s", why)
	}
	for i, method := range m.Methods {
		if !slices.Contains(methods, method) {
			r.refusef(at.Child("methods").Index(i), method, heddlev1alpha1.ReasonInvalid, "%s is no method; use one of %s", quoted(method), strings.Join(methods, ", "))
		}
	}
	conditions, err := m.Headers.Conditions()
	if err != nil {
		r.refusef(at.Child("headers"), nil, heddlev1alpha1.ReasonInvalid, "%v; write a map of header names to expressions", err)
	}
	for _, c := range conditions {
		if err := Regex(c.Regex); err != nil {
			r.refusef(at.Child("headers").Key(c.Name), c.Regex, heddlev1alpha1.ReasonInvalidRegex, "%v", err)
		}
	}
	anyMethod := len(m.Methods) == 0 || slices.Contains(m.Methods, specsv1alpha4.MethodAny)
	if len(r.Errors) == 0 && len(conditions) == 0 && anyMethod && everyPath(m.PathRegex) {
		r.warnf(at, nil, unconditional, "%s holds for every request; limit its path, methods or headers unless that is meant", quoted(m.Name))
	}
}

// TCPRoute judges a route.
func TCPRoute(route *specsv1alpha4.TCPRoute) Result {
	var r Result
	r.ports(route.Spec.Matches.Ports)
	return r
}

// UDPRoute judges a route, of which nothing becomes.
func UDPRoute(route *specsv1alpha4.UDPRoute) Result {
	var r Result
	r.ports(route.Spec.Matches.Ports)
	r.warnf(field.NewPath("kind"), "UDPRoute", heddlev1alpha1.ReasonUnsupported, "UDP passes the mesh by, so the route has no effect; use a NetworkPolicy for UDP")
	return r
}

func (r *Result) ports(ports []int) {
	at := field.NewPath("spec", "matches", "ports")
	for i, port := range ports {
		r.port(at.Index(i), int64(port))
	}
}

func (r *Result) port(at *field.Path, port int64) {
	if port < 1 || port > 65535 {
		r.refusef(at, port, heddlev1alpha1.ReasonInvalid, "%d is no port; use 1 to 65535", port)
	}
}
