// Package compat tests that what others make to work with a service mesh works with
// Heddle as it is: on a real cluster, that of KUBECONFIG, where Heddle and these
// programs must be installed (make compat sees to both).
package compat
