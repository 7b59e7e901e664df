// Package v1alpha1 holds the types of heddle.dev, and the names and numbers
// that more than one of Heddle's programs agrees on (wellknown.go).
//
// MeshConfig is what holds for the whole mesh, Canary a release that proves
// itself before it gets all traffic. conditions.go lists every condition type
// and reason that Heddle writes into a status, its own kinds' and SMI's.
//
// +kubebuilder:object:generate=true
// +groupName=heddle.dev
package v1alpha1
