package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	maxCSR     = 16 << 10
	minRSABits = 2048
	maxRSABits = 4096

	csrHeader = "-----BEGIN CERTIFICATE REQUEST-----"
)

// csrSignatures are those that prove that the sender holds the key; SHA-1 and
// older are not among them.
var csrSignatures = []x509.SignatureAlgorithm{
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
}

// ParseCSR reads one PEM certificate request and checks that who made it
// holds the key, and that the key is strong enough: P-256, P-384, Ed25519 or
// RSA of 2048 to 4096 bits. Nothing but white space may stand around the
// block, so that two readers never see two things in one text. Only the
// result's PublicKey has been proved; its names are what the sender likes.
func ParseCSR(csrPEM []byte) (*x509.CertificateRequest, error) {
	if len(csrPEM) == 0 {
		return nil, errors.New("the proxy sent no certificate request")
	}
	if len(csrPEM) > maxCSR {
		return nil, fmt.Errorf("certificate request of %d bytes; at most %d are read", len(csrPEM), maxCSR)
	}
	csrPEM = bytes.TrimSpace(csrPEM)
	if !bytes.HasPrefix(csrPEM, []byte(csrHeader)) {
		// The decoder would skip what is before the first block.
		return nil, errors.New("certificate request: does not begin with a PEM block CERTIFICATE REQUEST")
	}
	block, rest := pem.Decode(csrPEM)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, errors.New("certificate request: not exactly one PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	// The key is judged first: checking a signature by a huge one costs time.
	if err := acceptableKey(csr.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if !slices.Contains(csrSignatures, csr.SignatureAlgorithm) {
		return nil, fmt.Errorf("certificate request: signature algorithm %s is not accepted", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: signature: %w", err)
	}
	return csr, nil
}

// acceptableKey says whether the mesh certifies that kind of key.
func acceptableKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return errors.New("the key's curve is neither P-256 nor P-384")
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA key of %d bits; %d to %d are accepted", bits, minRSABits, maxRSABits)
		}
	default:
		return fmt.Errorf("key of kind %T", key)
	}
	return nil
}
