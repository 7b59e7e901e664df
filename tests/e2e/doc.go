// Package e2e tests the whole mesh on a real cluster: that of KUBECONFIG,
// where Heddle and the images of the lab must be installed (make test sees to
// both). Every test has a namespace of its own.
package e2e
