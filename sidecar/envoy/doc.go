// Package envoy turns the mesh model into Envoy's resources. Everything in
// it is a pure function: the same input gives the same message, so that one
// marshalled copy can serve every proxy.
//
// What a sidecar gets:
//
//	listener outbound  -> routes outbound -> one VirtualHost per address and port -> clusters, on demand
//	listener inbound/… -> routes inbound/… (who may) -> the application
//	listener ready     -> 200, over mutual TLS, so that readiness needs a certificate
package envoy
