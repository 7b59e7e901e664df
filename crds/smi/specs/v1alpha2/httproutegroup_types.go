package v1alpha2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// HTTPRouteGroup v1alpha2 is a named set of descriptions of HTTP requests.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=httproutegroups,singular=httproutegroup,shortName=htr,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Matches",type=string,JSONPath=`.matches`,priority=1
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type HTTPRouteGroup struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Matches are alternatives: a request is in the group if one of them
	// holds. An empty list matches nothing.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.all(m, self.exists_one(n, n.name == m.name))",message="every match needs a name of its own"
	Matches []specsv1alpha4.HTTPMatch `json:"matches"`

	// Status is what Heddle made of it.
	// +optional
	Status specsv1alpha4.RouteStatus `json:"status,omitempty,omitzero"`
}

// HTTPRouteGroupList is a list of HTTPRouteGroups.
//
// +kubebuilder:object:root=true
type HTTPRouteGroupList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HTTPRouteGroup `json:"items"`
}
