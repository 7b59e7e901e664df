// Package explain says what the mesh does with one request, and why. It is
// pure and written from what the mesh promises, not from what a proxy is
// told: tests hold it against a real proxy, so that each is the other's
// judge.
//
//	*mesh.Snapshot, Request -> route -> backends -> endpoints -> policy -> Decision
//
// A request that an application answers is Admitted here whatever its answer.
package explain
