// Package v1alpha4 holds HTTPRouteGroup, TCPRoute and UDPRoute of
// specs.smi-spec.io, the newest version and the one Heddle stores. They
// describe traffic and do nothing by themselves: TrafficTargets and
// TrafficSplits refer to them.
//
// Decoding never fails on what the API server lets through, because one object
// that can't be decoded would hide all the others from whoever lists them.
// Headers is therefore kept as it was written and judged when it is read.
//
// +kubebuilder:object:generate=true
// +groupName=specs.smi-spec.io
package v1alpha4
