// Package v1alpha2 holds TrafficTarget of access.smi-spec.io with a port at the
// destination, which newer versions have in a TCPRoute. Heddle serves it and
// stores v1alpha3; package convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha2
