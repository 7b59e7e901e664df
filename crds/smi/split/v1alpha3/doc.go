// Package v1alpha3 holds TrafficSplit of split.smi-spec.io with matches. Its
// spec is that of v1alpha4, the version that Heddle stores.
//
// +kubebuilder:object:generate=true
// +groupName=split.smi-spec.io
package v1alpha3
