package bootstrap

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Names of the secrets in the files.
const (
	secretToken = "token"
	secretXDSCA = "xds-ca"
)

// TokenSecret is the content of TokenFile. It names the projected token and
// doesn't contain it; Envoy follows the file as kubelet rotates it.
func TokenSecret() ([]byte, error) {
	return secretYAML(&tlsv3.Secret{
		Name: secretToken,
		Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret: watchedFile(heddlev1alpha1.IdentityDir + "/token"),
		}},
	})
}

// XDSCASecret is the content of XDSCAFile: the roots of the operator's
// certificate, followed as the ConfigMap changes.
func XDSCASecret() ([]byte, error) {
	return secretYAML(&tlsv3.Secret{
		Name: secretXDSCA,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: watchedFile(heddlev1alpha1.IdentityDir + "/" + heddlev1alpha1.CAKey),
		}},
	})
}

// watchedFile is a file in the identity volume. Kubelet swaps a symbolic link
// in that directory, which is what has to be watched.
func watchedFile(path string) *corev3.DataSource {
	return &corev3.DataSource{
		Specifier:        &corev3.DataSource_Filename{Filename: path},
		WatchedDirectory: &corev3.WatchedDirectory{Path: heddlev1alpha1.IdentityDir},
	}
}

func secretYAML(secret *tlsv3.Secret) ([]byte, error) {
	packed, err := anypb.New(secret)
	if err != nil {
		return nil, fmt.Errorf("pack secret %s: %w", secret.GetName(), err)
	}
	raw, err := JSON(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}})
	if err != nil {
		return nil, err
	}
	out, err := yaml.JSONToYAML(raw)
	if err != nil {
		return nil, fmt.Errorf("encode secret %s: %w", secret.GetName(), err)
	}
	return out, nil
}

// fileSecret refers to a secret in a file.
func fileSecret(name, path string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{
		Name: name,
		SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
				PathConfigSource: &corev3.PathConfigSource{Path: path},
			},
		},
	}
}
