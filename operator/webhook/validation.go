package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/crds/smi/validate"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// ValidationPath is where the webhook configuration expects the validation
// endpoint.
const ValidationPath = "/validate"

// Validation refuses objects that can never work, by the fields at fault, and
// warns of what is likely a mistake. An update is refused for what it breaks
// only: what was wrong before may stay, so that everything else about an object
// from before a check can be changed.
type Validation struct {
	// Covered returns the Services that prefixes cover; nil knows of none.
	Covered func(prefixes []netip.Prefix) mesh.Covered
}

// Handle implements admission.Handler.
func (v Validation) Handle(_ context.Context, request admission.Request) admission.Response {
	kind := schema.GroupVersionKind(request.Kind)
	if !validate.Judged(kind) {
		return admission.Allowed("")
	}
	now, err := validate.JSON(kind, request.Object.Raw)
	now.Warnings = append(now.Warnings, v.excludedServices(kind, request.Object.Raw)...)
	var before validate.Result
	var unreadable error
	if request.Operation == admissionv1.Update {
		before, unreadable = validate.JSON(kind, request.OldObject.Raw)
	}
	if err != nil {
		if unreadable != nil {
			return admission.Allowed("").WithWarnings(err.Error())
		}
		return refusal(request, []validate.Problem{{Field: "spec", Message: err.Error()}})
	}
	broken := validate.NewlyBroken(before.Errors, now.Errors)
	if len(broken) > 0 {
		return refusal(request, broken).WithWarnings(texts(now.Warnings)...)
	}
	return admission.Allowed("").WithWarnings(texts(now.Errors, now.Warnings)...)
}

// excludedServices warns of a MeshConfig that has Services reached past sidecars.
func (v Validation) excludedServices(kind schema.GroupVersionKind, raw []byte) []validate.Problem {
	var config heddlev1alpha1.MeshConfig
	if v.Covered == nil || kind != heddlev1alpha1.GroupVersion.WithKind("MeshConfig") || json.Unmarshal(raw, &config) != nil {
		return nil
	}
	var prefixes []netip.Prefix
	for _, text := range config.Spec.Egress.ExcludePrefixes {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			prefixes = append(prefixes, prefix.Masked())
		}
	}
	covered := v.Covered(prefixes)
	if len(covered) == 0 {
		return nil
	}
	return []validate.Problem{{Field: "spec.egress.excludePrefixes", Message: covered.String()}}
}

// refusal is what the API server itself says of a field that a schema refuses.
func refusal(request admission.Request, problems []validate.Problem) admission.Response {
	details := &metav1.StatusDetails{Name: request.Name, Group: request.Kind.Group, Kind: request.Kind.Kind}
	for _, p := range problems {
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: p.Field, Message: p.Message})
	}
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
		Message: fmt.Sprintf("%s %q is invalid: %s", request.Kind.Kind, request.Name, strings.Join(texts(problems), "; ")),
		Details: details,
	}}}
}

func texts(lists ...[]validate.Problem) []string {
	var out []string
	for _, problems := range lists {
		for _, p := range problems {
			out = append(out, p.String())
		}
	}
	return out
}
