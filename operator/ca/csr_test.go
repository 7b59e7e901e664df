package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
)

// request makes a certificate request for the key that claims to be anyone.
func request(tb testing.TB, key crypto.Signer, uris ...*url.URL) []byte {
	tb.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:        pkix.Name{CommonName: "heddle-operator.heddle-system.svc"},
		DNSNames:       []string{"heddle-operator.heddle-system.svc"},
		IPAddresses:    []net.IP{net.IPv4(10, 0, 0, 1)},
		EmailAddresses: []string{"root@example.org"},
		URIs:           uris,
	}, key)
	if err != nil {
		tb.Fatal(err)
	}
	return encode("CERTIFICATE REQUEST", der)
}

func ecdsaKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func rsaKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func ed25519Key(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// damaged flips a bit of the signature, which is at the end.
func damaged(tb testing.TB, csrPEM []byte) []byte {
	tb.Helper()
	block, _ := pem.Decode(csrPEM)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}

func TestParseCSR(t *testing.T) {
	t.Parallel()
	good := request(t, ecdsaKey(t, elliptic.P256()))
	tests := map[string]struct {
		csr []byte
		// wantErr is part of the error, empty where the request is good.
		wantErr string
	}{
		"P-256 is taken":                          {csr: good},
		"P-384 is taken":                          {csr: request(t, ecdsaKey(t, elliptic.P384()))},
		"Ed25519 is taken":                        {csr: request(t, ed25519Key(t))},
		"RSA 2048 is taken":                       {csr: request(t, rsaKey(t, 2048))},
		"white space around it doesn't matter":    {csr: []byte("\n  " + string(good) + "\n\n")},
		"nothing is refused":                      {wantErr: "no certificate request"},
		"white space alone is refused":            {csr: []byte(" \n"), wantErr: "does not begin"},
		"P-224 is refused":                        {csr: request(t, ecdsaKey(t, elliptic.P224())), wantErr: "neither P-256 nor P-384"},
		"P-521 is refused":                        {csr: request(t, ecdsaKey(t, elliptic.P521())), wantErr: "neither P-256 nor P-384"},
		"RSA 1024 is refused":                     {csr: request(t, rsaKey(t, 1024)), wantErr: "RSA key of 1024 bits"},
		"a signature by another key is refused":   {csr: damaged(t, good), wantErr: "signature"},
		"two requests are refused":                {csr: append(bytes.Clone(good), good...), wantErr: "not exactly one"},
		"text after it is refused":                {csr: append(bytes.Clone(good), "tail"...), wantErr: "not exactly one"},
		"text before it is refused":               {csr: append([]byte("head\n"), good...), wantErr: "does not begin"},
		"a certificate is refused":                {csr: encode("CERTIFICATE", []byte{1}), wantErr: "does not begin"},
		"a block with headers is refused":         {csr: bytes.Replace(good, []byte("REQUEST-----\n"), []byte("REQUEST-----\na: b\n\n"), 1), wantErr: "not exactly one"},
		"a block that isn't a request is refused": {csr: encode("CERTIFICATE REQUEST", []byte("x")), wantErr: "certificate request"},
		"a block without an end is refused":       {csr: good[:len(good)/2], wantErr: "not exactly one"},
		"more than the limit is refused":          {csr: bytes.Repeat([]byte("A"), maxCSR+1), wantErr: "at most"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			csr, err := ParseCSR(tc.csr)
			if tc.wantErr == "" {
				if err != nil || csr.PublicKey == nil {
					t.Fatalf("csr %v, error %v", csr, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("error %v, want one with %q", err, tc.wantErr)
			}
		})
	}
}

func FuzzParseCSR(f *testing.F) {
	for _, key := range []crypto.Signer{ecdsaKey(f, elliptic.P256()), ed25519Key(f), rsaKey(f, 2048)} {
		good := request(f, key)
		f.Add(good)
		f.Add(damaged(f, good))
		f.Add(append(bytes.Clone(good), good...))
		f.Add(good[:len(good)-20])
	}
	f.Add([]byte(csrHeader))
	f.Add([]byte(csrHeader + "\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		csr, err := ParseCSR(text)
		if err != nil {
			return
		}
		if err := acceptableKey(csr.PublicKey); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		if err := csr.CheckSignature(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		if bytes.Count(text, []byte("-----BEGIN")) != 1 {
			t.Errorf("accepted more than one block")
		}
	})
}
