// Package build makes a mesh snapshot out of Kubernetes objects. It is pure:
// the same objects give the same snapshot and the same findings, whatever
// their order and whatever was built before. The snapshot before is only used
// to reuse what is equal, so that readers can compare pointers.
//
//	Objects -> services, endpoints, workloads, splits, policies -> *mesh.Snapshot, []mesh.Finding
package build
