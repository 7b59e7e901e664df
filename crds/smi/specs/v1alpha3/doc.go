// Package v1alpha3 holds the routes of specs.smi-spec.io with a spec, of which
// that of a TCPRoute is empty. Heddle serves it and stores v1alpha4; package
// convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha3
