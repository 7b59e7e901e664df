package build

import (
	"cmp"
	"fmt"
	"strings"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// problems gathers what is wrong with one object. The first reason stands for
// all of them.
type problems struct {
	reason   string
	messages []string
	said     map[string]bool
}

func (p *problems) add(reason, format string, args ...any) {
	p.reason = cmp.Or(p.reason, reason)
	message := fmt.Sprintf(format, args...)
	if p.said[message] {
		return
	}
	if p.said == nil {
		p.said = map[string]bool{}
	}
	p.said[message] = true
	p.messages = append(p.messages, message)
}

// accepted states that the object is part of the mesh's configuration, or
// what of it is not.
func (p *problems) accepted(ref mesh.ObjectRef) mesh.Finding {
	if p.reason == "" {
		return accepted(ref)
	}
	return refused(ref, p.reason, strings.Join(p.messages, "; "))
}

// resolvedRefs states that everything the object refers to exists, or what
// does not.
func (p *problems) resolvedRefs(ref mesh.ObjectRef) mesh.Finding {
	finding := mesh.Finding{
		Object: ref, Type: heddlev1alpha1.ConditionResolvedRefs, OK: p.reason == "",
		Reason: p.reason, Message: strings.Join(p.messages, "; "),
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
