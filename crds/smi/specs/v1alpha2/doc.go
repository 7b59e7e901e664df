// Package v1alpha2 holds the routes of specs.smi-spec.io with headers, but
// without a spec and without ports. Heddle serves it and stores v1alpha4;
// package convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha2
