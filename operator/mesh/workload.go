package mesh

import (
	"net/netip"
	"slices"
)

// Pod is a pod that has not ended.
type Pod struct {
	Key      PodKey
	UID      string
	Identity Identity
	// Node is where it runs, empty before it does.
	Node string
	// Meshed is true when the pod has a sidecar; only then Workload is set.
	Meshed   bool
	Workload WorkloadKey
	// DirectPorts are those that callers reach past the sidecar, ordered.
	DirectPorts []uint16
	// IPs are empty for a pod on the node's network.
	IPs []netip.Addr
	// Excluded is what the app reaches past the sidecar.
	Excluded Exclusion
}

// SidecarAt is true when connections to the port end at the pod's sidecar, so
// that they must be made by mutual TLS.
func (p *Pod) SidecarAt(port uint16) bool {
	return p.Meshed && !slices.Contains(p.DirectPorts, port)
}

// WorkloadKey names a group of pods whose sidecars listen in the same way:
// those of one owner with the same service account and the same probes. While
// a pod lives it changes only with its owner and its annotations.
type WorkloadKey struct {
	Namespace string
	// Kind and Name are those of the owner that people know: the Deployment
	// rather than its ReplicaSet.
	Kind string
	Name string
	// Variant is a hash of what else makes a difference.
	Variant string
}

// Workload is what the inbound side of a group of pods needs to know.
type Workload struct {
	Key      WorkloadKey
	Identity Identity
	// Strict refuses plaintext except for Probes.
	Strict bool
	// Probes are requests that the kubelet or a metrics scraper sends without
	// a certificate; they are admitted whatever the policy says.
	Probes []Probe
}

// Probe is a request that is always admitted without a certificate, exactly so
// but for its query.
type Probe struct {
	Port uint16
	// Path is the exact path with its query.
	Path string
	// Method is GET, or POST for gRPC health checks.
	Method string
	// TLS is true for one that is asked over TLS, by a caller who verifies
	// nothing; the others are plaintext.
	TLS bool
}
