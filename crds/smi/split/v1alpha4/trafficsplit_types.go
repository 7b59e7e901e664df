package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KindHTTPRouteGroup is the only kind that a TrafficSplitMatch may name.
const KindHTTPRouteGroup = "HTTPRouteGroup"

// TrafficSplit shares out the requests for a root service among backends. It
// acts in its own namespace only, for every caller in the mesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=trafficsplits,singular=trafficsplit,shortName=ts,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service`,description="The root service of this split."
// +kubebuilder:printcolumn:name="Backends",type=string,JSONPath=`.spec.backends`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Refs",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,priority=1
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficSplit struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec TrafficSplitSpec `json:"spec"`
	// Status is what Heddle made of it.
	// +optional
	Status TrafficSplitStatus `json:"status,omitempty,omitzero"`
}

// TrafficSplitSpec says how the requests for one service are shared.
type TrafficSplitSpec struct {
	// Service is the root service: the name that clients call. It may not
	// exist yet.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`

	// Backends are the services that share its requests. A backend that is
	// the root service itself means the root's own endpoints; splits are not
	// followed further.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Backends []TrafficSplitBackend `json:"backends"`

	// Matches limits the split to the requests that one of the named
	// HTTPRouteGroups describes; the others go to the root service. Without
	// matches the split acts on every request.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Matches []TrafficSplitMatch `json:"matches,omitempty"`
}

// TrafficSplitMatch refers to an HTTPRouteGroup in the namespace of the split.
type TrafficSplitMatch struct {
	// APIGroup is specs.smi-spec.io; it may be left out.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	APIGroup *string `json:"apiGroup,omitempty"`

	// Kind is HTTPRouteGroup.
	// +required
	// +kubebuilder:validation:Enum=HTTPRouteGroup
	Kind string `json:"kind"`

	// Name of the HTTPRouteGroup. One that doesn't exist matches nothing.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TrafficSplitBackend is a service and its weight.
type TrafficSplitBackend struct {
	// Service names a Service in the namespace of the split.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`

	// Weight is relative to the sum of all weights of the split; weights need
	// not add up to 100. Zero, and a weight that is left out, means that this
	// backend gets no request at all.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	Weight int `json:"weight"`
}

// TrafficSplitStatus says what became of a split. It is written by the
// operator's leader only.
type TrafficSplitStatus struct {
	// ObservedGeneration is the generation of the spec that this status is
	// about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Accepted, ResolvedRefs, Programmed and, only while it
	// holds, Conflicted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TrafficSplitList is a list of TrafficSplits.
//
// +kubebuilder:object:root=true
type TrafficSplitList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrafficSplit `json:"items"`
}
