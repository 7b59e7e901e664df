package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultClusterDomain is the DNS suffix of a cluster's Services until a
// MeshConfig says otherwise.
const DefaultClusterDomain = "cluster.local"

// MTLSMode says what a meshed pod does with plaintext that comes from outside
// the mesh. Between meshed pods there is mutual TLS in either mode.
//
// +kubebuilder:validation:Enum=Strict;Permissive
type MTLSMode string

const (
	// MTLSPermissive accepts plaintext, too. It is the default.
	MTLSPermissive MTLSMode = "Permissive"
	// MTLSStrict closes connections that aren't mutual TLS within the mesh;
	// probes of the kubelet and scrapes work all the same.
	MTLSStrict MTLSMode = "Strict"
)

// AccessMode says who may call a service account that isn't the destination
// of any TrafficTarget.
//
// +kubebuilder:validation:Enum=AllowUnlessTargeted;Deny;Allow
type AccessMode string

const (
	// AccessAllowUnlessTargeted lets everybody call, until a TrafficTarget
	// names the service account as destination; from then on only what
	// targets allow is admitted. It is the default.
	AccessAllowUnlessTargeted AccessMode = "AllowUnlessTargeted"
	// AccessDeny admits only what TrafficTargets allow.
	AccessDeny AccessMode = "Deny"
	// AccessAllow admits everything: TrafficTargets have no effect.
	AccessAllow AccessMode = "Allow"
)

// EgressMode says what happens to connections that a meshed pod opens to
// destinations which are no Service of the cluster.
//
// +kubebuilder:validation:Enum=Allow;Deny
type EgressMode string

const (
	// EgressAllow passes them on as they are. It is the default.
	EgressAllow EgressMode = "Allow"
	// EgressDeny closes them.
	EgressDeny EgressMode = "Deny"
)

// MeshConfig is what holds for the whole mesh. The one named "default" counts;
// without it, every field has its default.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=meshconfigs,singular=meshconfig,shortName=mc,categories={heddle,mesh}
// +kubebuilder:printcolumn:name="mTLS",type=string,JSONPath=`.spec.mtls.mode`
// +kubebuilder:printcolumn:name="Access",type=string,JSONPath=`.spec.access.default`
// +kubebuilder:printcolumn:name="Egress",type=string,JSONPath=`.spec.egress.mode`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Trust domain",type=string,JSONPath=`.spec.trustDomain`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="a MeshConfig must be named default: there is one for the whole mesh"
type MeshConfig struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for.
	// +optional
	Spec MeshConfigSpec `json:"spec,omitempty,omitzero"`
	// Status is what Heddle made of it.
	// +optional
	Status MeshConfigStatus `json:"status,omitempty,omitzero"`
}

// MeshConfigSpec says what holds for the whole mesh.
type MeshConfigSpec struct {
	// TrustDomain is the first part of every identity in the mesh,
	// spiffe://<trustDomain>/ns/<namespace>/sa/<service account>.
	// +optional
	// +kubebuilder:default=cluster.local
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`
	TrustDomain string `json:"trustDomain,omitempty"`

	// ClusterDomain is the DNS suffix of the cluster's Services.
	// +optional
	// +kubebuilder:default=cluster.local
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	ClusterDomain string `json:"clusterDomain,omitempty"`

	// MTLS is about encryption.
	// +optional
	// +kubebuilder:default={}
	MTLS MTLSSpec `json:"mtls,omitempty,omitzero"`

	// Access is about who may call whom.
	// +optional
	// +kubebuilder:default={}
	Access AccessSpec `json:"access,omitempty,omitzero"`

	// Egress is about what lies outside the cluster.
	// +optional
	// +kubebuilder:default={}
	Egress EgressSpec `json:"egress,omitempty,omitzero"`
}

// MTLSSpec is about encryption.
type MTLSSpec struct {
	// Mode is Permissive or Strict. The label heddle.dev/mtls of a namespace
	// overrides it there.
	// +optional
	// +kubebuilder:default=Permissive
	Mode MTLSMode `json:"mode,omitempty"`
}

// AccessSpec is about who may call whom.
type AccessSpec struct {
	// Default is AllowUnlessTargeted, Deny or Allow. The label
	// heddle.dev/access of a namespace overrides it there.
	// +optional
	// +kubebuilder:default=AllowUnlessTargeted
	Default AccessMode `json:"default,omitempty"`
}

// EgressSpec is about what lies outside the cluster.
type EgressSpec struct {
	// Mode is Allow or Deny.
	// +optional
	// +kubebuilder:default=Allow
	Mode EgressMode `json:"mode,omitempty"`

	// ExcludePrefixes are IPv4 prefixes, as in 192.0.2.0/24, that pods reach past
	// their sidecars: without mutual TLS, policy or shares. It holds for pods
	// that start from then on, in addition to what a pod's own annotation
	// heddle.dev/exclude-outbound-prefixes lists.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=18
	// +kubebuilder:validation:items:Pattern=`^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$`
	ExcludePrefixes []string `json:"excludePrefixes,omitempty"`

	// ExcludePorts are destination ports that pods reach past their sidecars, as
	// with ExcludePrefixes and heddle.dev/exclude-outbound-ports.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	ExcludePorts []int32 `json:"excludePorts,omitempty"`
}

// MeshConfigStatus says what became of a MeshConfig. It is written by the
// operator's leader only.
type MeshConfigStatus struct {
	// ObservedGeneration is the generation of the spec that this status is
	// about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Accepted and Programmed.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WithDefaults returns the spec with every field that is empty set to its
// default, as the API server would have set it. The zero value gives what holds
// where there is no MeshConfig.
func (s MeshConfigSpec) WithDefaults() MeshConfigSpec {
	if s.TrustDomain == "" {
		s.TrustDomain = DefaultTrustDomain
	}
	if s.ClusterDomain == "" {
		s.ClusterDomain = DefaultClusterDomain
	}
	if s.MTLS.Mode == "" {
		s.MTLS.Mode = MTLSPermissive
	}
	if s.Access.Default == "" {
		s.Access.Default = AccessAllowUnlessTargeted
	}
	if s.Egress.Mode == "" {
		s.Egress.Mode = EgressAllow
	}
	return s
}

// MeshConfigList is a list of MeshConfigs.
//
// +kubebuilder:object:root=true
type MeshConfigList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []MeshConfig `json:"items"`
}
