package explain

import (
	"fmt"
	"strconv"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Outcome is what becomes of a request.
type Outcome int

const (
	// Admitted reaches an application, or a destination outside the mesh.
	Admitted Outcome = iota
	// Forbidden is answered with 403.
	Forbidden
	// BadRequest is answered with 400, or on HTTP/2 with a reset stream.
	BadRequest
	// BackendMissing is answered with 500: the backend doesn't exist.
	BackendMissing
	// Unavailable is answered with 503: nothing can take the request.
	Unavailable
	// Closed is a connection that is closed without an answer.
	Closed
	// Mixed depends on the backend or endpoint that is picked.
	Mixed
)

var outcomes = [...]string{
	"admitted", "403 forbidden", "400 bad request", "500 backend does not exist",
	"503 nothing takes the request", "connection closed", "depends on the backend",
}

// String returns the outcome in words, with the status first.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomes) {
		return "Outcome(" + strconv.Itoa(int(o)) + ")"
	}
	return outcomes[o]
}

// Decision is what the mesh does with a request.
type Decision struct {
	// Outcome is that of all branches, or Mixed.
	Outcome Outcome
	// Reason is why there are no branches; else empty.
	Reason string
	// Split names the object that shares the requests; empty for none.
	// SplitMatch is the match by which it took this one, if it has any.
	Split, SplitMatch string
	// Bypassed is what excludes the destination from the caller's sidecar, a port
	// or a prefix; empty if nothing does. The caller is then one from outside.
	Bypassed string
	// Branches are the backends that may be picked. Their shares add up to
	// one. There are none where the request gets no further than the caller.
	Branches []Branch
	// Trace tells the same as a story.
	Trace []Step
}

// Branch is one backend that requests are shared with.
type Branch struct {
	// Backend is zero for a destination that is no service.
	Backend mesh.PortKey
	// Weight of Of is the exact share.
	Weight uint32
	Of     uint64
	// Outcome is that of all verdicts, or Mixed.
	Outcome Outcome
	// Reason is why there are no verdicts; else empty.
	Reason string
	// Verdicts are those of the kinds of endpoints behind the backend. How
	// requests are shared among them is not decided beforehand.
	Verdicts []Verdict
}

// Share returns the share in words, such as 1/3 (33.333 %).
func (b Branch) Share() string {
	return fmt.Sprintf("%d/%d (%s %%)", b.Weight, b.Of, strconv.FormatFloat(100*float64(b.Weight)/float64(b.Of), 'g', 5, 64))
}

// Verdict is what one kind of endpoint does with the request.
type Verdict struct {
	// Endpoints counts those of this kind; Port is where they listen.
	Endpoints int
	Port      uint16
	// Meshed is true for endpoints with a sidecar; only these have an
	// identity and a policy.
	Meshed   bool
	Identity mesh.Identity
	Outcome  Outcome
	// Reason is why, in words.
	Reason string
	// Target is what admits: the TrafficTarget's name and the name of the
	// match in its HTTPRouteGroup. Empty where nothing had to.
	Target string
	Match  string
	// Path is the request target as the application gets it, for an admitted
	// HTTP request.
	Path string
	// Tried says of each grant why it does not admit, for Forbidden and
	// Closed.
	Tried []string
}

// Step is one line of the story; Depth says under what it stands.
type Step struct {
	Depth int
	Topic string
	Text  string
}

// common returns the outcome of all, Mixed if they differ.
func common[T any](all []T, of func(T) Outcome) Outcome {
	first := of(all[0])
	for _, one := range all[1:] {
		if of(one) != first {
			return Mixed
		}
	}
	return first
}
