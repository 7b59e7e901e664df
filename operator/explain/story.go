package explain

import (
	"fmt"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// tell makes the trace out of the decision.
func (e *explanation) tell() {
	d := &e.decision
	e.say(0, "from", e.from.String())
	e.say(0, "to", e.destination())
	if d.Bypassed != "" {
		e.say(0, "because", "bypassed by exclusion of "+d.Bypassed+": the caller's sidecar sees nothing of it, and the callee takes the caller for one outside the mesh")
	}
	if d.Split != "" {
		e.say(0, "split", d.Split+byMatch(d.SplitMatch))
	}
	if d.Reason != "" {
		e.say(0, "because", d.Reason)
	}
	for _, branch := range d.Branches {
		depth := 0
		if branch.Backend != (mesh.PortKey{}) {
			e.say(0, "backend", fmt.Sprintf("Service %s port %d, share %s", branch.Backend.Service, branch.Backend.Port, branch.Share()))
			depth = 1
		}
		if branch.Reason != "" {
			e.say(depth, "because", branch.Reason)
		}
		for _, v := range branch.Verdicts {
			e.verdictSteps(depth, v)
		}
		if len(branch.Verdicts) != 1 {
			e.say(depth, "outcome", branch.Outcome.String())
		}
	}
	e.say(0, "outcome", d.Outcome.String())
}

func (e *explanation) verdictSteps(depth int, v Verdict) {
	who := "without a sidecar"
	if v.Meshed {
		who = "of service account " + v.Identity.Namespace + "/" + v.Identity.ServiceAccount
	}
	noun := "endpoints"
	if v.Endpoints == 1 {
		noun = "endpoint"
	}
	e.say(depth, noun, fmt.Sprintf("%d at port %d, %s", v.Endpoints, v.Port, who))
	if v.Path != "" && v.Path != e.request.Target {
		e.say(depth+1, "path", v.Path+", normalised")
	}
	if v.Target != "" {
		e.say(depth+1, "grant", v.Target+byMatch(v.Match))
	} else {
		e.say(depth+1, "because", v.Reason)
	}
	for _, tried := range v.Tried {
		e.say(depth+1, "not by", tried)
	}
	e.say(depth+1, "outcome", v.Outcome.String())
}

func byMatch(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(", match %q", name)
}

func (e *explanation) destination() string {
	if e.request.To != (mesh.PortKey{}) {
		return fmt.Sprintf("Service %s port %d", e.request.To.Service, e.request.To.Port)
	}
	if pod := e.snapshot.PodsByIP.Get(e.request.Address.Addr()); pod != nil {
		return fmt.Sprintf("%s, which is pod %s/%s", e.request.Address, pod.Key.Namespace, pod.Key.Name)
	}
	return e.request.Address.String()
}

func (e *explanation) say(depth int, topic, text string) {
	e.decision.Trace = append(e.decision.Trace, Step{Depth: depth, Topic: topic, Text: text})
}
