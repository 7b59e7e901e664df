// Package redirect sends a pod's TCP traffic through its sidecar with an
// nftables table of its own. It imports nothing else of Heddle's, so that a
// CNI plugin or a VM's unit can use it alone.
//
//	Config -> Rules (pure) -> Ruleset -> Apply (netlink, one transaction)
//
// What the table does, in the network namespace it is applied to:
//
//   - connections the app opens go to the outbound listener, except those to
//     the loopback interface and the exclusions;
//   - connections that arrive go to the inbound listener, except those to the
//     sidecar's own open ports and the exclusions;
//   - the proxy, known by its user, opens connections freely. If it dials its
//     own pod, because a Service the app called has chosen it, the connection
//     is taken as one that arrived; what the inbound listener forwards to the
//     app carries PassSource and is left alone;
//   - nobody can dial the sidecar's redirection ports directly, which would
//     make the proxy call itself without end;
//   - IPv6 fails closed: TCP over IPv6 is refused both ways except on the
//     loopback interface, because redirecting it isn't supported yet and
//     letting it through would go around every policy;
//   - UDP, ICMP and the rest aren't touched.
//
// A process in the pod that may become the proxy's user (root with SETUID)
// can send around the sidecar. That is no way into other workloads: their
// sidecars ask for the identity that only the proxy's container has.
package redirect
