package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// TCPRoute v1alpha2 describes connections to every port: newer versions can name
// ports. A TrafficTarget of this age has the port at its destination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=tcproutes,singular=tcproute,shortName=tr,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TCPRoute struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Status is what Heddle made of it.
	// +optional
	Status specsv1alpha4.RouteStatus `json:"status,omitempty,omitzero"`
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
