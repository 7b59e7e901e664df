// Package convert turns SMI objects of one version into those of another. It is
// pure and works on decoded JSON, so that what two versions have in common
// passes through untouched.
//
//	v1alpha1 ─┐                          ┌─ v1alpha1
//	v1alpha2 ─┼─layout─▶ body ─up─▶ newest body ─down─▶ body ─layout─┼─ v1alpha2
//	v1alpha3 ─┘            dialect            dialect                └─ v1alpha3
//
// A layout says where a version keeps its fields, a dialect what they mean.
// Versions that differ in layout only share a dialect. Two promises hold for
// every pair of versions:
//
// Nothing is widened. A split, match or target that a version can't express
// becomes one that does less: it grants nothing, matches nothing, or leaves
// every request with the root service.
//
// Nothing is lost. What could not be expressed travels in an annotation named
// after the dialect that it was written in. It is restored only while it still
// says exactly what the object says: whoever edits the object in another
// version makes it void, and one that is void is dropped. In the version that
// an object was written in there is no annotation to be seen.
package convert
