package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UDPRoute describes datagrams by the port they are sent to.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=udproutes,singular=udproute,shortName=ur,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Ports",type=string,JSONPath=`.spec.matches.ports`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type UDPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec UDPRouteSpec `json:"spec"`
	// Status is what Heddle made of it.
	// +optional
	Status RouteStatus `json:"status,omitempty,omitzero"`
}

// UDPRouteSpec says which datagrams are meant.
type UDPRouteSpec struct {
	// Matches is one description, not a list.
	// +required
	Matches UDPMatch `json:"matches"`
}

// UDPMatch describes datagrams.
type UDPMatch struct {
	// Name is for people; nothing refers to it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// Ports are ports of the pod that the datagrams are sent to. An empty list
	// means every port.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	Ports []int `json:"ports"`
}

// UDPRouteList is a list of UDPRoutes.
//
// +kubebuilder:object:root=true
type UDPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []UDPRoute `json:"items"`
}
