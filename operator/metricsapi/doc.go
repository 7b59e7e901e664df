// Package metricsapi serves SMI's TrafficMetrics (metrics.smi-spec.io v1alpha1
// and v1alpha2) as an API that the API server aggregates. What it says is what
// Prometheus has gathered from the sidecars that answered.
//
//	path -> request -> flows from Prometheus, objects from the API server -> TrafficMetrics
//
// Flows, and what is made of them, are pure; Handler, Prometheus, Objects and
// Access are the rim.
package metricsapi
