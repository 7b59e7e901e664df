package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// TrafficSplit shares out all requests for a root service among backends.
//
// +kubebuilder:object:root=true
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
	Status splitv1alpha4.TrafficSplitStatus `json:"status,omitempty,omitzero"`
}

// TrafficSplitSpec says how the requests for one service are shared.
type TrafficSplitSpec struct {
	// Service is the root service: the name that clients call. It may not
	// exist yet.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`

	// Backends are the services that share its requests. A split that newer
	// versions limit to some requests is shown with the root alone, since
	// this version can't say which.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Backends []splitv1alpha4.TrafficSplitBackend `json:"backends"`
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
