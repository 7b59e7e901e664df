// Package catalog holds every Envoy resource of one mesh snapshot, marshalled
// once, and answers what a given proxy may see of it. A catalog is immutable;
// the next one is made from it and the next snapshot, and shares with it
// whatever did not change.
//
//	*mesh.Snapshot, *Catalog before -> *Catalog, xds.Change
//
// The work follows what differs between the two snapshots, not what there is.
//
// Clusters that proxies name by an original destination are made when first
// asked for. No catalog remembers who asked for what: the change tells the
// addresses that lead elsewhere than before, and the server knows the names
// (Group). What was made is kept for those who ask for the same, up to
// maxClusters.
package catalog
