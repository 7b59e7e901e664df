package envoy

import (
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func workload(strict bool, probes ...mesh.Probe) *mesh.Workload {
	return &mesh.Workload{
		Key:      mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1a2b3c4d"},
		Identity: cartID, Strict: strict, Probes: probes,
	}
}

func open() *mesh.Policy { return &mesh.Policy{Destination: cartID} }

func closed(grants ...mesh.Grant) *mesh.Policy {
	return &mesh.Policy{Destination: cartID, Closed: true, Grants: grants}
}

func inboundGoldens() map[string]golden {
	permissive := WorkloadListener(workload(false), open(), trustDomain)
	strict := WorkloadListener(workload(true), open(), trustDomain)
	shut := WorkloadListener(workload(false), closed(), trustDomain)
	paths := WorkloadListener(workload(false), closed(mesh.Grant{
		Sources: []mesh.Identity{webID}, HTTP: []mesh.HTTPMatch{{PathRegex: "/api/.*"}},
	}), trustDomain)
	probedTLS := mesh.Probe{Port: 8443, Path: "/status", Method: "GET", TLS: true}
	probed := WorkloadListener(workload(true, probedTLS, mesh.Probe{Port: 8080, Path: "/healthz", Method: "GET"}), open(), trustDomain)
	passed := WorkloadListener(workload(false, probedTLS), open(), trustDomain)
	ready := ReadyListener()
	return map[string]golden{
		"listener-inbound-permissive": {resource: permissive, part: outline(permissive)},
		"listener-inbound-strict":     {resource: strict, part: outline(strict)},
		"listener-inbound-closed":     {resource: shut, part: outline(shut)},
		"listener-inbound-tls-probe":  {resource: probed, part: outline(probed)},
		"listener-inbound-tls-passes": {resource: passed, part: outline(passed)},
		"listener-ready":              {resource: ready},
		"http-mesh":                   {resource: permissive, part: httpOf(permissive, "mesh")},
		"http-mesh-reading-paths":     {resource: paths, part: httpOf(paths, "mesh")},
		"http-plaintext":              {resource: permissive, part: httpOf(permissive, "plaintext")},
		"http-tls-probes":             {resource: probed, part: httpOf(probed, "probes")},
		"tls-probes":                  {resource: probed, part: chainOf(probed, "probes").GetTransportSocket()},
		"cluster-application-tls":     {resource: InboundTLS()},
	}
}

func plaintextGoldens() map[string]golden {
	health := mesh.Probe{Port: 8080, Path: "/healthz?full=1", Method: "GET"}
	overTLS := mesh.Probe{Port: 8080, Path: "/status", Method: "GET", TLS: true}
	grpc := mesh.Probe{Port: 9090, Path: "/grpc.health.v1.Health/Check", Method: "POST"}
	access := func(w *mesh.Workload, p *mesh.Policy) golden { return golden{resource: PlaintextAccess(w, p)} }
	return map[string]golden{
		"plaintext-permissive":     access(workload(false, health), open()),
		"plaintext-strict":         access(workload(true, health, overTLS, grpc), open()),
		"plaintext-strict-closed":  access(workload(true), closed()),
		"plaintext-closed":         access(workload(false, health), closed()),
		"plaintext-without-probes": access(workload(false), open()),
	}
}
