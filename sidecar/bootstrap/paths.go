package bootstrap

import heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"

// Files that heddle-init writes for Envoy.
const (
	// ConfigFile is the bootstrap.
	ConfigFile = heddlev1alpha1.StateDir + "/envoy.json"
	// TokenFile tells Envoy where the token for the operator is.
	TokenFile = heddlev1alpha1.StateDir + "/sds-token.yaml"
	// XDSCAFile tells Envoy where the roots for the operator's certificate
	// are.
	XDSCAFile = heddlev1alpha1.StateDir + "/sds-xds-ca.yaml"
)

// Paths of the static listeners.
const (
	// ReadyPath on the health port answers 200 once the proxy has its
	// identity and can finish a mutual TLS handshake with itself.
	ReadyPath = "/ready"
)
