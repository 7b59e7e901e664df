// Package xds delivers configuration to the sidecars: a delta ADS server
// that holds a Snapshot, remembers per stream what was asked for, sent and
// acknowledged, and sends only what differs.
//
//	Publish(Snapshot, Change) -> streams concerned -> queue -> DeltaDiscoveryResponse
//
// It knows nothing of Kubernetes or of the mesh: the Snapshot answers by
// client, type and name.
package xds
