// Package catalog holds every Envoy resource of one mesh snapshot, marshalled
// once, and answers what a given proxy may see of it. A catalog is immutable;
// the next one is made from it and the next snapshot, and shares with it
// whatever did not change.
//
//	*mesh.Snapshot, *Catalog before -> *Catalog, xds.Change
//
// Clusters that proxies name by an original destination are made when first
// asked for.
package catalog
