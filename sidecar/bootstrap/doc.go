// Package bootstrap makes the file with which Envoy starts in a pod, and the
// small files that it watches. It is pure: heddle-init writes what it returns.
//
//	Settings (from the webhook) + pod facts -> Params -> Render -> envoy.json, sds-token.yaml, sds-xds-ca.yaml
//
// Envoy then fetches everything else from the operator. What is static here
// is only what must work before that, or without it: the connection to the
// operator, statistics, health, and a way through to original destinations.
package bootstrap
