package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetricTemplate is a query that canaries of its namespace can be judged by.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=metrictemplates,singular=metrictemplate,shortName=hmt,categories={heddle,mesh}
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider.type`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.provider.address`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MetricTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the query and who answers it.
	// +required
	Spec MetricTemplateSpec `json:"spec"`
}

// MetricTemplateSpec is a query and who answers it.
type MetricTemplateSpec struct {
	// Provider answers the query; the operator's own Prometheus by default.
	// +optional
	// +kubebuilder:default={type: prometheus}
	Provider MetricProvider `json:"provider,omitempty,omitzero"`
	// Query must come to one number. {{ namespace }}, {{ name }} (of the
	// Canary), {{ target }}, {{ primary }}, {{ service }}, {{ interval }} and
	// {{ variables.NAME }} are filled in.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Query string `json:"query"`
}

// MetricProvider is where to ask.
//
// +kubebuilder:validation:XValidation:rule="has(self.address) || !has(self.secretRef) && !has(self.headers) && !has(self.insecureSkipVerify)",message="secretRef, headers and insecureSkipVerify are about a Prometheus of one's own; name its address"
type MetricProvider struct {
	// Type is prometheus.
	// +optional
	// +kubebuilder:default=prometheus
	// +kubebuilder:validation:Enum=prometheus
	Type string `json:"type,omitempty"`
	// Address is a URL, as https://prometheus.example.com/prefix. Without it
	// the operator's own Prometheus is asked.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https?://[^/@?#]+[^@?#]*$`
	Address string `json:"address,omitempty"`
	// SecretRef names a Secret with username and password, or a token, and
	// perhaps ca.crt. The operator must have been allowed to read it.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// Headers are sent along, such as X-Scope-OrgID.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`
	// InsecureSkipVerify takes any certificate for good.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// LocalReference names an object of the same namespace.
type LocalReference struct {
	// Name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// HTTPHeader is a line of a request.
type HTTPHeader struct {
	// Name of the header.
	// +required
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9-]+$`
	Name string `json:"name"`
	// Value of the header.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Value string `json:"value"`
}

// CanaryCheck is a metric that must keep to a range. No value is no data, and
// holds the release; so does a value that couldn't be had.
//
// +kubebuilder:validation:XValidation:rule="has(self.min) || has(self.max)",message="nothing could fail; set min, max or both"
type CanaryCheck struct {
	// Name tells the check from others.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// TemplateRef names the MetricTemplate, in the namespace of the Canary.
	// +required
	TemplateRef LocalReference `json:"templateRef"`
	// Min is the least the value may be, as 5 or "99.5".
	// +optional
	Min *resource.Quantity `json:"min,omitempty"`
	// Max is the most the value may be, as 5 or "0.1".
	// +optional
	Max *resource.Quantity `json:"max,omitempty"`
	// Interval is the window that {{ interval }} stands for; the analysis'
	// interval by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="interval must be between 1s and 24h"
	Interval metav1.Duration `json:"interval,omitempty,omitzero"`
	// Variables are what the template has as variables.NAME.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Variables map[string]string `json:"variables,omitempty"`
}

// MetricTemplateList is a list of MetricTemplates.
//
// +kubebuilder:object:root=true
type MetricTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MetricTemplate `json:"items"`
}
