package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha2 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha2"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
)

// TrafficTarget v1alpha1 lets sources call a destination in the ways that its
// specs describe. It says what v1alpha2 says, without a spec and with another
// word for the rules.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=traffictargets,singular=traffictarget,shortName=tt,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.destination.name`
// +kubebuilder:printcolumn:name="Port",type=integer,JSONPath=`.destination.port`
// +kubebuilder:printcolumn:name="Sources",type=string,JSONPath=`.sources`,priority=1
// +kubebuilder:printcolumn:name="Rules",type=string,JSONPath=`.specs`,priority=1
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Refs",type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`,priority=1
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrafficTarget struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Destination is the service account whose pods may be called. It must be
	// in the target's own namespace: only its owner opens a destination.
	// +required
	Destination accessv1alpha2.IdentityBindingSubject `json:"destination"`

	// Sources are the service accounts that may call, from any namespace. An
	// empty list allows nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Sources []accessv1alpha2.IdentityBindingSubject `json:"sources,omitempty"`

	// Specs say which requests and connections are allowed. An empty list
	// allows nothing. What newer versions say about ports and this one can't
	// is shown as an empty list.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Specs []accessv1alpha2.TrafficTargetRule `json:"specs,omitempty"`

	// Status is what Heddle made of it.
	// +optional
	Status accessv1alpha3.TrafficTargetStatus `json:"status,omitempty,omitzero"`
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
