// Package ca is the mesh's certificate authority: it signs the keys that
// sidecars make, for the identity their token proves, and the operator's own
// serving certificates.
//
// What it decides is pure (Authority); the Secret it lives in and the places
// its roots are published to are at the rim (LoadOrCreate, Publisher).
//
//	Secret -> LoadOrCreate -> Authority -> Issue         -> a sidecar's certificate
//	                                    -> IssueServing  -> ServingSource -> xDS and webhook servers
//	                                    -> RootsPEM      -> Publisher -> ConfigMaps, the webhook's CA bundle
//
// There is one root and it is read when the operator starts: it is not rolled,
// and a change of the Secret takes effect at the next start.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// LeafTTL is how long a sidecar's certificate holds.
	LeafTTL = 24 * time.Hour
	// ServingTTL is how long the operator's own certificates hold.
	ServingTTL = 24 * time.Hour

	rootTTL = 10 * 365 * 24 * time.Hour
	// backdate covers clocks that are behind.
	backdate = 5 * time.Minute
)

// Authority signs with one root. It is immutable.
type Authority struct {
	root *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// New makes an authority with a new P-256 root for the trust domain.
func New(trustDomain spiffeid.TrustDomain, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the root key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Heddle root of " + trustDomain.Name()},
		URIs:                  []*url.URL{trustDomain.ID().URL()},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(rootTTL),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the root: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("marshal the root key: %w", err)
	}
	return Parse(encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER))
}

// Parse reads an authority from PEM. The error says which part is wrong and
// shows nothing of the key.
func Parse(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate and key do not go together: %w", err)
	}
	root, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if !root.IsCA {
		return nil, errors.New("certificate: it may not sign others (basicConstraints CA is false)")
	}
	if root.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("certificate: it may not sign others (keyUsage lacks keyCertSign)")
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("key: it can't sign")
	}
	return &Authority{root: root, key: key, pem: encode("CERTIFICATE", root.Raw)}, nil
}

// RootsPEM returns what peers verify certificates with.
func (a *Authority) RootsPEM() []byte { return a.pem }

// NotAfter is when the root ends; nothing signed holds longer.
func (a *Authority) NotAfter() time.Time { return a.root.NotAfter }

// Issue signs the public key of a certificate request for the identity,
// whatever names the request holds. The identity is one of a workload: an id
// without a path is refused. It returns the chain in PEM and when it ends.
func (a *Authority) Issue(csrPEM []byte, id spiffeid.ID, now time.Time) (chainPEM []byte, notAfter time.Time, err error) {
	if id.Path() == "" {
		return nil, time.Time{}, fmt.Errorf("%q is not a workload's identity", id)
	}
	csr, err := ParseCSR(csrPEM)
	if err != nil {
		return nil, time.Time{}, err
	}
	der, notAfter, err := a.sign(csr.PublicKey, &x509.Certificate{URIs: []*url.URL{id.URL()}}, LeafTTL, now)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("sign for %s: %w", id, err)
	}
	return encode("CERTIFICATE", der), notAfter, nil
}

// IssueServing makes a key and a certificate for the operator's own servers.
func (a *Authority) IssueServing(dnsNames []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a serving key: %w", err)
	}
	der, _, err := a.sign(key.Public(), &x509.Certificate{DNSNames: dnsNames}, ServingTTL, now)
	if err != nil {
		return nil, fmt.Errorf("sign a serving certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the serving certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func (a *Authority) sign(key crypto.PublicKey, names *x509.Certificate, ttl time.Duration, now time.Time) ([]byte, time.Time, error) {
	switch {
	case ttl <= 0:
		return nil, time.Time{}, fmt.Errorf("a life of %s", ttl)
	case now.Before(a.root.NotBefore):
		return nil, time.Time{}, fmt.Errorf("the root begins at %s, which is to come; check this node's clock", a.root.NotBefore.Format(time.RFC3339))
	case !now.Before(a.root.NotAfter):
		return nil, time.Time{}, fmt.Errorf("the root ended at %s; replace it in Secret %s", a.root.NotAfter.Format(time.RFC3339), SecretName)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, time.Time{}, err
	}
	// Certificates count in seconds.
	notAfter := now.Add(ttl).Truncate(time.Second)
	if notAfter.After(a.root.NotAfter) {
		notAfter = a.root.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		URIs:                  names.URIs,
		DNSNames:              names.DNSNames,
		NotBefore:             now.Add(-backdate),
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key, a.key)
	return der, notAfter, err
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
