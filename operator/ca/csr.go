package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	maxCSR     = 16 << 10
	minRSABits = 2048
)

// ParseCSR reads one PEM certificate request and checks that who made it
// holds the key, and that the key is strong enough: P-256, P-384, Ed25519 or
// RSA of at least 2048 bits.
func ParseCSR(csrPEM []byte) (*x509.CertificateRequest, error) {
	if len(csrPEM) == 0 {
		return nil, errors.New("the proxy sent no certificate request")
	}
	if len(csrPEM) > maxCSR {
		return nil, fmt.Errorf("certificate request of %d bytes; at most %d are read", len(csrPEM), maxCSR)
	}
	block, rest := pem.Decode(csrPEM)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
		return nil, errors.New("certificate request: not exactly one PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: signature: %w", err)
	}
	switch key := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, errors.New("certificate request: the key's curve is neither P-256 nor P-384")
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("certificate request: RSA key of %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
	default:
		return nil, fmt.Errorf("certificate request: key of kind %T", key)
	}
	return csr, nil
}
