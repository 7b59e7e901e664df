// Command heddle is what people use to look at a mesh: is it healthy (check),
// what does each proxy hold (proxy status), what becomes of a request and why
// (explain), what is wrong with manifests or objects (analyze), how far is a
// release (canary get), which versions run (version).
//
// Installed under the name kubectl-heddle it is a kubectl plugin and takes the
// same flags as kubectl. Data goes to standard output, talk to standard error.
// The exit code is 0 when all is well, 1 when something was found wrong or
// could not be done.
//
//	flags -> cluster (clients) -> gather facts -> pure judgement -> table, JSON or YAML
//
// Nothing here writes to the cluster but what a person asks a canary for, which
// is one annotation.
package main
