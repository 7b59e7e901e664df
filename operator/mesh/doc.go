// Package mesh is the model between Kubernetes and Envoy: what services,
// endpoints, workloads, traffic shares and grants there are, in the mesh's
// own terms. It knows nothing of either side and imports only the standard
// library.
//
// A Snapshot is immutable once published. What did not change from one
// snapshot to the next is the same pointer, so that readers can tell by
// comparing pointers what they need not look at again.
//
//	Kubernetes objects -> build -> Snapshot -> catalog -> Envoy resources
package mesh
