package build

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// problems gathers what is wrong with one object. The first reason stands for
// all of them.
type problems struct {
	reason string
	all    []mesh.Problem
	said   map[string]bool
}

func (p *problems) addf(reason, format string, args ...any) {
	p.reason = cmp.Or(p.reason, reason)
	message := fmt.Sprintf(format, args...)
	if p.said[message] {
		return
	}
	if p.said == nil {
		p.said = map[string]bool{}
	}
	p.said[message] = true
	p.all = append(p.all, mesh.Problem{Reason: reason, Message: message})
}

// told sorts what is to be said of an object by itself: what keeps it from being
// accepted, and which of its references can't be resolved.
func told(result validate.Result) (wrong, refs problems) {
	for _, p := range slices.Concat(result.Errors, result.Warnings) {
		switch {
		case p.Reason == "": // a warning to its author, and no more
		case p.Ref:
			refs.addf(p.Reason, "%s", p)
		default:
			wrong.addf(p.Reason, "%s", p)
		}
	}
	return wrong, refs
}

func (p *problems) message() string {
	messages := make([]string, 0, len(p.all))
	for _, problem := range p.all {
		messages = append(messages, problem.Message)
	}
	return strings.Join(messages, "; ")
}

// accepted states that the object is part of the mesh's configuration, or
// what of it is not.
func (p *problems) accepted(ref mesh.ObjectRef) mesh.Finding {
	if p.reason == "" {
		return accepted(ref)
	}
	return mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: p.reason, Message: p.message(), Problems: p.all,
	}
}

// resolvedRefs states that everything the object refers to exists, or what
// does not.
func (p *problems) resolvedRefs(ref mesh.ObjectRef) mesh.Finding {
	finding := mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, OK: p.reason == "",
		Reason: p.reason, Message: p.message(), Problems: p.all,
	}
	if finding.OK {
		finding.Reason, finding.Message = heddlev1alpha1.ReasonResolvedRefs, "everything it refers to exists"
	}
	return finding
}

func accepted(ref mesh.ObjectRef) mesh.Finding {
	return mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionAccepted, OK: true,
		Reason: heddlev1alpha1.ReasonAccepted, Message: "part of the mesh's configuration",
	}
}

func refused(ref mesh.ObjectRef, reason, message string) mesh.Finding {
	return mesh.Finding{Object: ref, Type: heddlev1alpha1.ConditionAccepted, Reason: reason, Message: message}
}
