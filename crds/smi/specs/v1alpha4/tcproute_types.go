package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TCPRoute describes connections by the port they end at.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=tcproutes,singular=tcproute,shortName=tr,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.spec.matches.ports`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TCPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec TCPRouteSpec `json:"spec"`
	// Status is what Heddle made of it.
	// +optional
	Status RouteStatus `json:"status,omitempty,omitzero"`
}

// TCPRouteSpec says which connections are meant.
type TCPRouteSpec struct {
	// Matches is one description, not a list.
	// +required
	Matches TCPMatch `json:"matches"`
}

// TCPMatch describes connections.
type TCPMatch struct {
	// Name is for people; nothing refers to it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// Ports are ports of the pod that the connection ends at. An empty list
	// means every port.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int `json:"ports"`
}

// TCPRouteList is a list of TCPRoutes.
//
// +kubebuilder:object:root=true
type TCPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TCPRoute `json:"items"`
}
