package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const keyBlock = "PRIVATE KEY"

// loadOrMakeKey returns the key in file, making one if there is none that can
// be used. A restarted pod keeps its key, since the certificate that Envoy
// holds may belong to it.
func loadOrMakeKey(file string, group int) (key *ecdsa.PrivateKey, made bool, err error) {
	raw, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, false, fmt.Errorf("read key: %w", err)
	default:
		if key, err := parseKey(raw); err == nil {
			// The mode is restored in case a crash came between.
			return key, false, restrict(file, keyMode, group)
		}
	}
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, false, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, false, fmt.Errorf("encode key: %w", err)
	}
	raw = pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	if err := writeFile(file, raw, keyMode, group); err != nil {
		return nil, false, fmt.Errorf("write key: %w", err)
	}
	return key, true, nil
}

// parseKey accepts exactly what loadOrMakeKey writes. Its errors don't quote
// the input.
func parseKey(raw []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != keyBlock || len(rest) > 0 {
		return nil, errors.New("not one PEM private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return key, nil
}

// request makes the certificate request. The identity in it is a hint for
// people: the operator takes the one it signs from the pod's token.
func request(key crypto.Signer, trustDomain, namespace, serviceAccount string) (string, error) {
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return "", fmt.Errorf("trust domain: %w", err)
	}
	id, err := spiffeid.FromSegments(td, "ns", namespace, "sa", serviceAccount)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id.URL()}}, key)
	if err != nil {
		return "", fmt.Errorf("make certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}
