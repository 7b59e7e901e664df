package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// commonTLS is what both ends of a mesh connection share: TLS 1.3, the
// proxy's own identity, and the mesh's roots with the given SPIFFE ids, one
// of which the peer must show exactly. No ids means any of the mesh.
func commonTLS(alpn []string, spiffeIDs []string) *tlsv3.CommonTlsContext {
	validation := &tlsv3.CertificateValidationContext{}
	for _, id := range spiffeIDs {
		validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: id}},
		})
	}
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: IdentitySecret, SdsConfig: ads()}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         validation,
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: RootsSecret, SdsConfig: ads()},
			},
		},
		AlpnProtocols: alpn,
	}
}

func clientTLS(alpn string, spiffeIDs []string) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.UpstreamTlsContext{
			CommonTlsContext: commonTLS([]string{alpn}, spiffeIDs),
		})},
	}
}

// serverTLS serves callers who show one of the SPIFFE ids; no ids means any of
// the mesh. It selects no protocol, so that the codec is told by the preface
// and HTTP/1 and HTTP/2 need no marker each.
func serverTLS(spiffeIDs []string) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.DownstreamTlsContext{
			CommonTlsContext:         commonTLS(nil, spiffeIDs),
			RequireClientCertificate: wrapperspb.Bool(true),
		})},
	}
}

// Roots is the secret with which peers are verified.
func Roots(pem []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Name: RootsSecret, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem}},
		},
	}}
}

// IdentityCertificate is the secret with a proxy's own chain; the key stays
// in the pod, in keyFile.
func IdentityCertificate(chainPEM []byte, keyFile string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: IdentitySecret, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: chainPEM}},
			PrivateKey:       &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: keyFile}},
		},
	}}
}

// peerIDs are the SPIFFE ids that may answer for the endpoints. Where there
// are none, an id that nobody holds stands in: an empty list would accept
// every identity of the mesh.
func peerIDs(ids []mesh.Identity, trustDomain string) []string {
	if len(ids) == 0 {
		return []string{"spiffe://" + trustDomain + "/nobody"}
	}
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, id.SPIFFE(trustDomain))
	}
	return names
}
