// Package v1alpha1 holds TrafficTarget of access.smi-spec.io as it was first:
// without a spec, and with a port at the destination. Heddle serves it and
// stores v1alpha3; package convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha1
