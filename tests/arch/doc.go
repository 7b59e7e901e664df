// Package arch holds the tree to its architecture, so that it doesn't depend on
// who reviews: which package may import which, what files and folders there
// are, that generated files are what the generator makes, and that what is
// installed asks for no more rights than it needs.
//
//	go list, the files themselves, make generate -> rules -> failures that say what to do
package arch
