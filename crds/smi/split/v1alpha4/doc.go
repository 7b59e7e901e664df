// Package v1alpha4 holds TrafficSplit of split.smi-spec.io, the newest version
// that the SMI specification has and the one Heddle stores.
//
// The spec has exactly the fields of the specification and is only ever read:
// whoever wrote it finds it again as it was. Heddle adds a status, which other
// tools don't look at.
//
//	user, Flagger, canary -> spec -> build -> snapshot ; findings -> status
//
// +kubebuilder:object:generate=true
// +groupName=split.smi-spec.io
package v1alpha4
