// Command demo shows what Heddle does, on a real cluster and before the user's
// eyes: `make demo`.
//
//	up:      cluster (cluster.go) -> install -> shop -> split -> access -> canary, good and bad -> sums
//	install: the first two of these, for the end-to-end tests
//	show:    up on a cluster that has Heddle already
//	down:    the shop and Heddle away again
//
// Each step says what it does, how it measured and what came out, and awaits
// what it needs by watching for it, with a deadline and an error that says what
// was missing. Nothing here is part of the product: it uses the same API,
// manifests and command line as anybody.
package main
