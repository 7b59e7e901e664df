package envoy

func tlsGoldens() map[string]golden {
	l := WorkloadListener(workload(true), open(), trustDomain)
	return map[string]golden{
		"tls-server":      {resource: l, part: chainOf(l, "mesh").GetTransportSocket()},
		"secret-roots":    {resource: Roots([]byte("(roots in PEM)"))},
		"secret-identity": {resource: IdentityCertificate([]byte("(chain in PEM)"), "/var/lib/heddle/identity/key.pem")},
	}
}
