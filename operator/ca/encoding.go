package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Fields of the Secret that holds an authority.
const (
	// FieldKey is the signing key, PKCS #8 in PEM.
	FieldKey = "ca.key"
	// FieldCert is the signing certificate in PEM.
	FieldCert = "ca.crt"
	// FieldRoots are the roots that peers trust, one or more, in PEM.
	FieldRoots = "roots.crt"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
	// maxRoots bounds a bundle: two are there during a rotation.
	maxRoots = 16
)

// Marshal returns the authority as the data of a Secret. The private key is in
// it: it must go nowhere else.
func (a *Authority) Marshal() (map[string][]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("marshal authority: %w", err)
	}
	return map[string][]byte{
		FieldKey:   pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}),
		FieldCert:  certPEM(a.cert.Raw),
		FieldRoots: bytes.Clone(a.rootsPEM),
	}, nil
}

// Parse reads what Marshal wrote. Its errors start with the name of the field
// that is wrong and never hold anything of the key. An expired authority is
// read; it then refuses to issue.
func Parse(data map[string][]byte) (*Authority, error) {
	key, err := parseKey(data[FieldKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FieldKey, err)
	}
	der, err := onlyBlock(data[FieldCert], certBlock)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FieldCert, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FieldCert, err)
	}
	roots, err := parseRoots(data[FieldRoots])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FieldRoots, err)
	}
	return newAuthority(key, cert, roots)
}

func parseKey(text []byte) (crypto.Signer, error) {
	der, err := onlyBlock(text, keyBlock)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// What the parser says could quote what it read.
		return nil, errors.New("not a PKCS #8 key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T can't sign", key)
	}
	return signer, nil
}

// parseRoots reads certificates one after the other, with nothing between.
func parseRoots(text []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN "+certBlock+"-----")) {
			return nil, errors.New("something else than certificates")
		}
		if len(roots) == maxRoots {
			return nil, fmt.Errorf("more than %d certificates", maxRoots)
		}
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("damaged PEM block")
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}
