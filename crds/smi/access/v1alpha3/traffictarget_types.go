package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds that a TrafficTarget may name.
const (
	// KindServiceAccount is the only kind of IdentityBindingSubject that
	// Heddle knows; a subject of another kind matches nobody.
	KindServiceAccount = "ServiceAccount"
	// KindHTTPRouteGroup, KindTCPRoute and KindUDPRoute are the kinds of a
	// TrafficTargetRule.
	KindHTTPRouteGroup = "HTTPRouteGroup"
	KindTCPRoute       = "TCPRoute"
	KindUDPRoute       = "UDPRoute"
)

// TrafficTarget lets sources call a destination in the ways that its rules
// describe. Targets add up: none takes away what another allows. A service
// account that is named as a destination refuses whatever no target allows.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=traffictargets,singular=traffictarget,shortName=tt,categories={smi,mesh}
// +kubebuilder:printcolumn:name="Destination",type=string,JSONPath=`.spec.destination.name`
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
	Status TrafficTargetStatus `json:"status,omitempty,omitzero"`
}

// TrafficTargetSpec says who may call whom, and how.
type TrafficTargetSpec struct {
	// Destination is the service account whose pods may be called. It must be
	// in the target's own namespace: only its owner opens a destination.
	// +required
	Destination IdentityBindingSubject `json:"destination"`

	// Sources are the service accounts that may call, from any namespace. An
	// empty list allows nobody.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	Sources []IdentityBindingSubject `json:"sources"`

	// Rules say which requests and connections are allowed: one of them must
	// hold, and where TCPRoutes stand beside HTTPRouteGroups, one of each.
	// An empty list allows nothing.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Rules []TrafficTargetRule `json:"rules"`
}

// TrafficTargetRule refers to a route in the namespace of the target.
type TrafficTargetRule struct {
	// Kind is HTTPRouteGroup, TCPRoute or UDPRoute.
	// +required
	// +kubebuilder:validation:Enum=HTTPRouteGroup;TCPRoute;UDPRoute
	Kind string `json:"kind"`

	// Name of the route. One that doesn't exist allows nothing. "route:80"
	// means TCPRoute route on port 80 only, and ":80" port 80 by itself: older
	// versions have the port at the destination.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=259
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
}

// TrafficTargetStatus says what became of a target. It is written by the
// operator's leader only.
type TrafficTargetStatus struct {
	// ObservedGeneration is the generation of the spec that this status is
	// about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Accepted, ResolvedRefs and Programmed.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
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
