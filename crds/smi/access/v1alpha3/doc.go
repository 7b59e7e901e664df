// Package v1alpha3 holds TrafficTarget of access.smi-spec.io, the newest
// released version and the one Heddle stores.
//
// A TrafficTarget only ever allows. Whatever in it can't be understood or
// resolved allows nothing and shows as a condition in its status.
//
//	user -> spec -> build -> mesh.Policy of the destination ; findings -> status
//
// +kubebuilder:object:generate=true
// +groupName=access.smi-spec.io
package v1alpha3
