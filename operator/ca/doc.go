// Package ca is the mesh's certificate authority: it says who a workload is,
// in a certificate for a key that the workload made and keeps.
//
//	Secret heddle-ca-key -> Store -> *Authority -> Issue         -> a proxy's identity (SDS)
//	                                           -> IssueServing  -> ServingSource -> xDS and webhook servers
//	                                           -> RootsPEM      -> ConfigMap heddle-ca, webhook's caBundle
//
// An Authority is an immutable value and a pure function of its arguments and
// of randomness: no clock, no client, no logger. Store, RootsPublisher and
// BundlePatcher are the only parts that know Kubernetes. Every replica of the
// operator reads the same Secret, so any of them can issue.
//
// The root lasts ten years. The package does not roll it by itself yet: once
// it has expired the Authority refuses to issue, the Store's readiness check
// fails a month before, and the metric heddle_ca_root_expiry_timestamp_seconds
// tells long before. The bundle may hold several roots, so that one can be
// replaced by hand in three steps: add the new root to roots.crt, wait until
// the ConfigMaps have it, then replace ca.crt and ca.key.
package ca
