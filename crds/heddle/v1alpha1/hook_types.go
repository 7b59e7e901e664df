package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CanaryHookType says when a hook is called and what its answer is for.
//
// +kubebuilder:validation:Enum=confirm-rollout;pre-rollout;rollout;confirm-traffic-increase;confirm-promotion;post-rollout;rollback;event
type CanaryHookType string

// HookEvent is told of each transition; what it answers doesn't matter. The
// other types are those of the engine.
const HookEvent CanaryHookType = "event"

// CanaryHook is a URL that is called with POST and a payload in JSON: name,
// namespace, phase, checksum and metadata, as Flagger's. A status of 200, 201
// or 202 is a yes, anything else a no.
type CanaryHook struct {
	// Name tells the hook from others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Type is one of these. confirm-rollout: a no keeps the candidate's pods from
	// starting. pre-rollout: before traffic; a no is a failed check. rollout: at
	// each look at the metrics; a no is a failed check. confirm-traffic-increase
	// and confirm-promotion: a no keeps the release where it is. rollback: a yes
	// rolls back. post-rollout: told that the release has ended. event: told of
	// each transition.
	// +required
	Type CanaryHookType `json:"type"`
	// URL to call. Redirects are not followed.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https?://[^/@?#]+[^@#]*$`
	URL string `json:"url"`
	// Timeout of one call; 10s by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('60s')",message="timeout must be above 0s and at most 60s"
	Timeout metav1.Duration `json:"timeout,omitempty,omitzero"`
	// Retries is how often a call that got no yes is repeated at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=5
	Retries int32 `json:"retries,omitempty"`
	// Metadata is sent along.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Metadata map[string]string `json:"metadata,omitempty"`
	// InsecureSkipVerify takes any certificate for good.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}
