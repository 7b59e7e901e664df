package v1alpha4

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MethodAny in HTTPMatch.Methods stands for every method, whatever else the
// list holds.
const MethodAny = "*"

// HTTPRouteGroup is a named set of descriptions of HTTP requests.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=httproutegroups,singular=httproutegroup,shortName=htr,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Matches",type=string,JSONPath=`.spec.matches`,priority=1
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type HTTPRouteGroup struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec HTTPRouteGroupSpec `json:"spec"`
	// Status is what Heddle made of it.
	// +optional
	Status RouteStatus `json:"status,omitempty,omitzero"`
}

// HTTPRouteGroupSpec lists the descriptions of a group.
type HTTPRouteGroupSpec struct {
	// Matches are alternatives: a request is in the group if one of them
	// holds. An empty list matches nothing.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.all(m, self.exists_one(n, n.name == m.name))",message="every match needs a name of its own"
	Matches []HTTPMatch `json:"matches"`
}

// HTTPMatch describes requests: everything that is set must hold. One with
// only a name matches every request.
type HTTPMatch struct {
	// Name by which a TrafficTarget can pick this match.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// PathRegex must match the whole path, without the query (RE2). Left out,
	// every path does.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	PathRegex string `json:"pathRegex,omitempty"`

	// Methods of which the request must have one; "*" is any. Left out, every
	// method will do.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:Enum="*";GET;HEAD;PUT;POST;DELETE;CONNECT;OPTIONS;TRACE;PATCH
	Methods []string `json:"methods,omitempty"`

	// Headers maps names to regular expressions (RE2) that must match the
	// header's whole value; all must hold. Both forms that SMI tools write
	// are understood: a map, and a list of maps.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Headers *Headers `json:"headers,omitempty"`
}

// RouteStatus says what became of a route. It is written by the operator's
// leader only.
type RouteStatus struct {
	// ObservedGeneration is the generation of the spec that this status is
	// about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions holds Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
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
