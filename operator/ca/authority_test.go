package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"pgregory.net/rapid"
)

var (
	mesh  = spiffeid.RequireTrustDomainFromString("cluster.local")
	start = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
)

func authority(tb testing.TB, now time.Time) *Authority {
	tb.Helper()
	a, err := New(mesh, now)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func workload(namespace, account string) spiffeid.ID {
	return spiffeid.RequireFromSegments(mesh, "ns", namespace, "sa", account)
}

// parseChain reads what Issue returned.
func parseChain(tb testing.TB, chainPEM []byte) *x509.Certificate {
	tb.Helper()
	block, rest := pem.Decode(chainPEM)
	if block == nil || len(rest) > 0 {
		tb.Fatalf("not one certificate: %s", chainPEM)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func verify(a *Authority, cert *x509.Certificate, at time.Time, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.RootsPEM())
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestIssue(t *testing.T) {
	t.Parallel()
	a := authority(t, start)
	key := ecdsaKey(t, elliptic.P256())
	id := workload("shop", "cart")
	chain, notAfter, err := a.Issue(request(t, key), id, start)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(start.Add(LeafTTL), notAfter); diff != "" {
		t.Errorf("end: (-want +got)\n%s", diff)
	}
	cert := parseChain(t, chain)
	if !key.PublicKey.Equal(cert.PublicKey.(*ecdsa.PublicKey)) {
		t.Error("the certificate is for another key")
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		for _, at := range []time.Time{start.Add(-time.Minute), start, start.Add(LeafTTL - time.Minute)} {
			if err := verify(a, cert, at, usage); err != nil {
				t.Errorf("at %s: %v", at, err)
			}
		}
	}
	if err := verify(a, cert, notAfter.Add(time.Second), x509.ExtKeyUsageAny); err == nil {
		t.Error("valid after its end")
	}
	if got, err := x509svid.IDFromCert(cert); err != nil || got != id {
		t.Errorf("SPIFFE id %s, error %v", got, err)
	}
	if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("CA %v, key usage %b", cert.IsCA, cert.KeyUsage)
	}
	if err := verify(authority(t, start), cert, start, x509.ExtKeyUsageAny); err == nil {
		t.Error("another authority vouches for it")
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a := authority(t, start)
	csr := request(t, ecdsaKey(t, elliptic.P256()))
	tests := map[string]struct {
		csr     []byte
		id      spiffeid.ID
		now     time.Time
		wantErr string
	}{
		"an empty identity":           {csr: csr, now: start, wantErr: "not a workload's identity"},
		"the trust domain itself":     {csr: csr, id: mesh.ID(), now: start, wantErr: "not a workload's identity"},
		"a bad request":               {csr: []byte("x"), id: workload("a", "b"), now: start, wantErr: "certificate request"},
		"after the root has ended":    {csr: csr, id: workload("a", "b"), now: start.Add(rootTTL), wantErr: SecretName},
		"before the root has started": {csr: csr, id: workload("a", "b"), now: start.Add(-time.Hour), wantErr: "clock"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain, _, err := a.Issue(tc.csr, tc.id, tc.now)
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want one with %q", err, tc.wantErr)
			}
			if chain != nil {
				t.Error("a chain came with the error")
			}
		})
	}
}

func TestNothingOutlivesTheRoot(t *testing.T) {
	t.Parallel()
	a := authority(t, start)
	now := a.NotAfter().Add(-time.Hour)
	_, notAfter, err := a.Issue(request(t, ecdsaKey(t, elliptic.P256())), workload("a", "b"), now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.NotAfter(), notAfter); diff != "" {
		t.Errorf("end: (-want +got)\n%s", diff)
	}
}

// Whatever a request claims, the certificate says who the token says, and
// nothing else.
func TestIdentityIsNeverTheRequests(t *testing.T) {
	t.Parallel()
	a := authority(t, start)
	key := ecdsaKey(t, elliptic.P256())
	rapid.Check(t, func(r *rapid.T) {
		segment := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`)
		id := workload(segment.Draw(r, "namespace"), segment.Draw(r, "account"))
		var claims []*url.URL
		for range rapid.IntRange(0, 3).Draw(r, "claims") {
			claims = append(claims, workload(segment.Draw(r, "claimed namespace"), segment.Draw(r, "claimed account")).URL())
		}
		now := start.Add(time.Duration(rapid.Int64Range(0, int64(9*365*24*time.Hour)).Draw(r, "now")))
		chain, notAfter, err := a.Issue(request(t, key, claims...), id, now)
		if err != nil {
			r.Fatal(err)
		}
		cert := parseChain(t, chain)
		var uris []string
		for _, uri := range cert.URIs {
			uris = append(uris, uri.String())
		}
		if diff := cmp.Diff([]string{id.String()}, uris); diff != "" {
			r.Errorf("URI names: (-want +got)\n%s", diff)
		}
		if len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) > 0 || cert.Subject.String() != "" {
			r.Errorf("names of the request survived: %v %v %v %q", cert.DNSNames, cert.IPAddresses, cert.EmailAddresses, cert.Subject)
		}
		if !cert.NotAfter.Equal(notAfter) {
			r.Errorf("the certificate ends at %s, %s was said", cert.NotAfter, notAfter)
		}
		if notAfter.After(a.NotAfter()) {
			r.Errorf("ends at %s, after its root", notAfter)
		}
	})
}

func TestSerialNumbersDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		serial, err := newSerial()
		if err != nil {
			t.Fatal(err)
		}
		if serial.Sign() <= 0 || serial.BitLen() > 128 || seen[serial.String()] {
			t.Fatalf("serial number %s", serial)
		}
		seen[serial.String()] = true
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	a, other := authority(t, start), authority(t, start)
	keyPEM := func(a *Authority) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			t.Fatal(err)
		}
		return encode("PRIVATE KEY", der)
	}
	serving, err := a.IssueServing([]string{"x"}, start)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := x509.MarshalPKCS8PrivateKey(serving.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cert, key []byte
		wantErr   string
	}{
		"what was made is read":          {cert: a.RootsPEM(), key: keyPEM(a)},
		"nothing is refused":             {wantErr: "do not go together"},
		"another root's key is refused":  {cert: a.RootsPEM(), key: keyPEM(other), wantErr: "do not go together"},
		"a certificate alone is refused": {cert: a.RootsPEM(), wantErr: "do not go together"},
		"a workload's certificate is refused": {
			cert: encode("CERTIFICATE", serving.Certificate[0]), key: encode("PRIVATE KEY", leafKey), wantErr: "may not sign",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tc.cert, tc.key)
			switch {
			case tc.wantErr == "":
				if err != nil || !bytes.Equal(got.RootsPEM(), a.RootsPEM()) {
					t.Errorf("error %v", err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.wantErr):
				t.Errorf("error %v, want one with %q", err, tc.wantErr)
			case len(tc.key) > 0 && strings.Contains(err.Error(), string(tc.key[40:60])):
				t.Error("the error shows the key")
			}
		})
	}
}

func TestServingSource(t *testing.T) {
	t.Parallel()
	now := start
	source := NewServingSource(authority(t, start), []string{"heddle-operator.heddle-system.svc"}, func() time.Time { return now })
	get := func() *tls.Certificate {
		t.Helper()
		cert, err := source.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := get()
	if err := first.Leaf.VerifyHostname("heddle-operator.heddle-system.svc"); err != nil {
		t.Error(err)
	}
	if len(first.Leaf.URIs) > 0 {
		t.Error("a server's certificate is a workload's identity")
	}
	now = start.Add(ServingTTL / 2)
	if get() != first {
		t.Error("renewed at half of its life")
	}
	now = start.Add(ServingTTL * 3 / 4)
	second := get()
	if second == first {
		t.Error("not renewed at three quarters of its life")
	}
	now = start.Add(rootTTL)
	if _, err := source.GetCertificate(nil); err == nil {
		t.Error("a certificate from a root that has ended")
	}
	if config := source.TLSConfig(); config.MinVersion != tls.VersionTLS13 {
		t.Errorf("TLS version %x", config.MinVersion)
	}
}

func TestServingSourceKeepsWhatHoldsWhenNoneCanBeMade(t *testing.T) {
	t.Parallel()
	a := authority(t, start)
	now := start
	source := NewServingSource(a, []string{"x"}, func() time.Time { return now })
	first, err := source.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	// An authority that has ended while a certificate of its own still holds
	// doesn't exist; one whose clock went back before its start does.
	source.current.Leaf.NotBefore = start.Add(-240 * time.Hour)
	now = a.root.NotBefore.Add(-time.Minute)
	if got, err := source.GetCertificate(nil); err != nil || got != first {
		t.Errorf("got %v, error %v", got, err)
	}
}
