package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Explain decides about the request. It is total: what does not exist is an
// outcome, too.
func Explain(snapshot *mesh.Snapshot, request Request) Decision {
	e := &explanation{snapshot: snapshot, request: request, from: request.From}
	if e.decision.Bypassed = e.bypassed(); e.decision.Bypassed != "" {
		e.request.From = Caller{Outside: true}
	}
	if request.TLS && !e.request.From.Outside {
		e.request.Protocol = TCP
	}
	e.decide()
	e.tell()
	return e.decision
}

type explanation struct {
	snapshot *mesh.Snapshot
	request  Request
	// from is the caller, whatever of it is seen at the other end.
	from     Caller
	decision Decision
}

// bypassed returns what excludes the destination from the caller's sidecar. A
// headless service is dialled at its endpoints, of which all must be excluded.
func (e *explanation) bypassed() string {
	r := e.request
	if r.From.Outside {
		return ""
	}
	if r.To == (mesh.PortKey{}) {
		return r.Excluded.Covers(r.Address)
	}
	service := e.snapshot.Services.Get(r.To.Service)
	if service == nil {
		return ""
	}
	for _, addr := range service.Addresses {
		if by := r.Excluded.Covers(netip.AddrPortFrom(addr, r.To.Port)); by != "" {
			return by
		}
	}
	set := e.snapshot.Endpoints.Get(r.To)
	if len(service.Addresses) > 0 || set == nil {
		return ""
	}
	by := ""
	for _, endpoint := range set.Endpoints {
		if by = r.Excluded.Covers(endpoint.Address); by == "" {
			return ""
		}
	}
	return by
}

func (e *explanation) decide() {
	port, found := e.port()
	http := e.request.Protocol != TCP && (port == nil || port.Protocol != mesh.ProtocolTCP) && e.readable()
	if http && !e.request.TLS {
		e.request = absolute(e.request)
		if why := malformed(e.request); why != "" {
			e.stop(BadRequest, why)
			return
		}
	}
	nowhere := Unavailable
	if !http {
		nowhere = Closed
	}
	switch {
	case !found:
		e.stop(nowhere, fmt.Sprintf("there is no Service port %s", e.request.To))
	case port == nil:
		e.address(http, nowhere)
	default:
		e.share(port, http, nowhere)
	}
	if len(e.decision.Branches) > 0 {
		e.decision.Outcome = common(e.decision.Branches, func(b Branch) Outcome { return b.Outcome })
	}
}

// share divides what is for the port among backends: as the first split whose
// matches describe the request says, or the one without matches, or not at all.
// Callers outside the mesh know no splits.
func (e *explanation) share(port *mesh.Port, http bool, nowhere Outcome) {
	var route *mesh.Route
	if !e.request.From.Outside {
		if route = port.Route; http {
			route = e.routeOf(port)
		}
	}
	if route == nil {
		e.decision.Branches = []Branch{e.backend(mesh.Share{Backend: port.Key, Weight: 1}, 1, http, nowhere)}
		return
	}
	e.decision.Split = route.Origin
	if route.Total() == 0 {
		e.stop(nowhere, "no backend has a weight")
	}
	for _, share := range route.Shares {
		if share.Weight > 0 {
			e.decision.Branches = append(e.decision.Branches, e.backend(share, route.Total(), http, nowhere))
		}
	}
}

// routeOf returns the route that takes the request. A split admits nobody, so
// it looks at paths as they are sent, without the query.
func (e *explanation) routeOf(port *mesh.Port) *mesh.Route {
	path, _, _ := strings.Cut(e.request.Target, "?")
	for _, matched := range port.Matched {
		for _, m := range matched.Matches {
			if fails(m, e.request, path, eachLine) == "" {
				e.decision.SplitMatch = m.Name
				return matched
			}
		}
	}
	return port.Route
}

func (e *explanation) stop(outcome Outcome, why string) {
	e.decision.Outcome, e.decision.Reason = outcome, why
}

// port returns the service port that is dialled, by name or by address; nil
// for an address that is no service's. It returns false for a name that
// nothing has.
func (e *explanation) port() (*mesh.Port, bool) {
	if e.request.To != (mesh.PortKey{}) {
		service := e.snapshot.Services.Get(e.request.To.Service)
		if service == nil {
			return nil, false
		}
		i := slices.IndexFunc(service.Ports, func(p *mesh.Port) bool { return p.Number == e.request.To.Port })
		if i < 0 {
			return nil, false
		}
		return service.Ports[i], true
	}
	for _, service := range e.snapshot.Services.All() {
		for _, port := range service.Ports {
			known := e.snapshot.Destinations(service, port)
			if e.request.From.Outside && port.Headless {
				known = nil // its endpoints stand for it only within the mesh
			}
			if slices.Contains(known, e.request.Address) {
				return port, true
			}
		}
	}
	return nil, true
}

// backend says what becomes of the share of one backend.
func (e *explanation) backend(share mesh.Share, of uint64, http bool, nowhere Outcome) Branch {
	branch := Branch{Backend: share.Backend, Weight: share.Weight, Of: of}
	if share.Missing {
		branch.Outcome = nowhere
		if http {
			branch.Outcome = BackendMissing
		}
		branch.Reason = "the backend does not exist, and its share is given to no other"
		return branch
	}
	order, count := e.kinds(e.snapshot.Endpoints.Get(share.Backend))
	if len(order) == 0 {
		branch.Outcome, branch.Reason = nowhere, "it has no ready endpoints"
		return branch
	}
	for _, k := range order {
		branch.Verdicts = append(branch.Verdicts, e.verdict(k, count[k], http))
	}
	branch.Outcome = common(branch.Verdicts, func(v Verdict) Outcome { return v.Outcome })
	return branch
}

// address decides about a destination that is no service's.
func (e *explanation) address(http bool, nowhere Outcome) {
	branch := Branch{Weight: 1, Of: 1}
	k, isPod := e.pod(e.request.Address)
	switch {
	case isPod && k.meshed && ownPort(e.request.Address):
		e.stop(Closed, "the port is the sidecar's own and leads nowhere")
		return
	case isPod:
		branch.Verdicts = []Verdict{e.verdict(k, 1, http)}
	case e.snapshot.Settings.EgressDenied && !e.request.From.Outside:
		e.stop(nowhere, "the address is neither a Service's nor a pod's, and egress is denied")
		return
	default:
		branch.Verdicts = []Verdict{{
			Endpoints: 1, Port: e.request.Address.Port(), Path: e.request.Target,
			Reason: "the address is neither a Service's nor a pod's: the connection leaves the mesh",
		}}
		if !http {
			branch.Verdicts[0].Path = ""
		}
	}
	branch.Outcome = branch.Verdicts[0].Outcome
	e.decision.Branches = []Branch{branch}
}

func ownPort(addr netip.AddrPort) bool {
	switch addr.Port() {
	case heddlev1alpha1.PortOutbound, heddlev1alpha1.PortInbound, heddlev1alpha1.PortReady:
		return true
	}
	return false
}
