package mesh

import "slices"

// Policy says who may call the pods of one service account.
type Policy struct {
	Destination Identity
	// Closed is true when only what Grants list is admitted.
	Closed bool
	Grants []Grant
}

// ReadsPaths is true when a grant of a closed policy looks at the path, so
// that paths must be normalised before they are judged.
func (p *Policy) ReadsPaths() bool {
	if !p.Closed {
		return false
	}
	for _, grant := range p.Grants {
		for _, match := range grant.HTTP {
			if match.PathRegex != "" {
				return true
			}
		}
	}
	return false
}

// Admits is true if the source may do anything at the port of a pod.
func (p *Policy) Admits(source Identity, port uint16) bool {
	return !p.Closed || slices.ContainsFunc(p.Grants, func(g Grant) bool {
		return (len(g.Ports) == 0 || slices.Contains(g.Ports, port)) && slices.Contains(g.Sources, source)
	})
}

// Grant admits requests of some sources. Grants are additive.
type Grant struct {
	// Origin names the object that grants, for people.
	Origin  string
	Sources []Identity
	// Ports the connection must end at; empty means any.
	Ports []uint16
	// HTTP lists what requests are admitted; one must hold. Empty means
	// everything on Ports is admitted, TCP connections too. Where it is not
	// empty, plain TCP is not admitted.
	HTTP []HTTPMatch
}

// HTTPMatch describes requests. All that is set must hold; the zero value
// matches every request.
type HTTPMatch struct {
	// Name is that of the match in its HTTPRouteGroup, for people.
	Name string
	// Methods are upper-case; empty means any.
	Methods []string
	// PathRegex must match the whole path without the query (RE2); empty
	// means any.
	PathRegex string
	// Headers must all hold.
	Headers []HeaderMatch
}

// HeaderMatch requires a header whose whole value matches Regex (RE2).
type HeaderMatch struct {
	// Name is lower-case.
	Name  string
	Regex string
}
