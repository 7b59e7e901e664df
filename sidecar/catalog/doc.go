// Package catalog holds every Envoy resource of one mesh snapshot, marshalled
// once, and answers what a given proxy may see of it. A catalog is immutable;
// the next one is made from it and the next snapshot, and shares with it
// whatever did not change.
//
//	*mesh.Snapshot, *Catalog before -> *Catalog, xds.Change
//
// What is marshalled follows what differs between the two snapshots. What
// grows with the mesh is only the comparing and copying of pointers, and that
// only of the maps that the snapshots don't share.
//
// Clusters that proxies name by an original destination are made when first
// asked for. No catalog remembers who asked for what: the change tells of any
// such name whether it leads elsewhere than before, and the server knows the
// names. What was made is kept for those who ask for the same, up to
// maxClusters.
package catalog
