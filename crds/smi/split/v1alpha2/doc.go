// Package v1alpha2 holds TrafficSplit of split.smi-spec.io with whole numbers
// as weights and without matches. Heddle serves it and stores v1alpha4; package
// convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=split.smi-spec.io
package v1alpha2
