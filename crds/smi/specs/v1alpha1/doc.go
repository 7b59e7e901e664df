// Package v1alpha1 holds the routes of specs.smi-spec.io as they were first:
// without a spec, without headers and without ports. Heddle serves it and
// stores v1alpha4; package convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha1
