// Package v1alpha1 holds TrafficSplit of split.smi-spec.io as it was first:
// weights are quantities ("500m", 1) and there are no matches. Heddle serves it
// and stores v1alpha4; package convert goes from one to the other.
//
// +kubebuilder:object:generate=true
// +groupName=split.smi-spec.io
package v1alpha1
