package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
)

// TrafficTarget v1alpha2 lets sources call a destination in the ways that its
// rules describe. Targets add up: none takes away what another allows.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=traffictargets,singular=traffictarget,shortName=tt,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destination.name`
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.spec.destination.port`
// +kubebuilder:printcolumn:name="Sources",type=string,JSONPath=`.spec.sources`,priority=1
// +kubebuilder:printcolumn:name="Rules",type=string,JSONPath=`.spec.rules`,priority=1
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Refs",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,priority=1
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec TrafficTargetSpec `json:"spec"`
	// Status is what Heddle made of it.
	// +optional
	Status accessv1alpha3.TrafficTargetStatus `json:"status,omitempty,omitzero"`
}

// TrafficTargetSpec says who may call whom, and how.
type TrafficTargetSpec struct {
	// Destination is the service account whose pods may be called. It must be
	// in the target's own namespace: only its owner opens a destination.
	// +required
	Destination IdentityBindingSubject `json:"destination"`

	// Sources are the service accounts that may call, from any namespace. An
	// empty list allows nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Sources []IdentityBindingSubject `json:"sources,omitempty"`

	// Rules say which requests and connections are allowed. An empty list
	// allows nothing. What newer versions say about ports and this one can't
	// is shown as an empty list.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Rules []TrafficTargetRule `json:"rules,omitempty"`
}

// TrafficTargetRule refers to a route in the namespace of the target.
type TrafficTargetRule struct {
	// Kind is HTTPRouteGroup or TCPRoute.
	// +required
	// +kubebuilder:validation:Enum=HTTPRouteGroup;TCPRoute
	Kind string `json:"kind"`

	// Name of the route. One that doesn't exist allows nothing.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Matches are names of matches in the HTTPRouteGroup. Left out, all of
	// them are meant. A name that the group doesn't have allows nothing.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Matches []string `json:"matches,omitempty"`
}

// IdentityBindingSubject names an identity.
type IdentityBindingSubject struct {
	// Kind is ServiceAccount.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`

	// Name of the service account.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the service account; left out, it is that of the target.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Port of the destination's pods that the target is limited to; left out,
	// it is every port. What it means at a source nobody has said, so a source
	// that has one is admitted by nothing.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int `json:"port,omitempty"`
}

// TrafficTargetList is a list of TrafficTargets.
//
// +kubebuilder:object:root=true
type TrafficTargetList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrafficTarget `json:"items"`
}
