// Package xds delivers configuration to the sidecars: a delta ADS server
// that holds a Snapshot, remembers per stream what was asked for, sent and
// acknowledged, and sends only what differs.
//
//	Publish(Snapshot, Change) -> streams concerned -> queue -> DeltaDiscoveryResponse
//
// A publication never waits for a proxy: it queues names, coalesced, and each
// stream sends what they are by then. What is referred to goes before what
// refers to it; removals go last, when all before them is acknowledged. What
// a proxy refuses it is not sent again until it changes.
//
// It knows nothing of Kubernetes or of the mesh: the Snapshot answers by
// client, type and name.
package xds
