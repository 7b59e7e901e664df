package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// caSecretName is the operator's Secret with the certificate authority.
const caSecretName = "heddle-ca-key"

// authorityWarn is how long before its end an authority deserves a look.
const authorityWarn = 30 * 24 * time.Hour

func checkAuthority(f *facts) verdict {
	var pemBytes []byte
	switch err := f.caSecret.err; {
	case apierrors.IsNotFound(err):
		return fail(fmt.Sprintf("secret %s/%s is missing", f.system, caSecretName))
	case apierrors.IsForbidden(err) && f.caBundle.err == nil:
		// Who may not read the Secret can still read what it signs for.
		pemBytes = []byte(f.caBundle.value.Data[heddlev1alpha1.CAKey])
	case err != nil:
		return unknown(err)
	default:
		pemBytes = certificateIn(f.caSecret.value.Data)
	}
	certs, err := readCertificates(pemBytes)
	if err != nil {
		return fail(fmt.Sprintf("secret %s/%s: %v", f.system, caSecretName, err))
	}
	// An authority is as good as its newest root: old ones stay in the bundle
	// until nothing is signed by them.
	end := slices.MaxFunc(certs, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
	switch left := end.Sub(f.now); {
	case left <= 0:
		return fail(fmt.Sprintf("it expired on %s", end.UTC().Format(time.DateTime)))
	case left < authorityWarn:
		return warn(fmt.Sprintf("it expires on %s, in %s", end.UTC().Format(time.DateTime), until(f.now, end)))
	}
	return pass()
}

// certificateIn finds the certificate in a Secret of the usual kinds.
func certificateIn(data map[string][]byte) []byte {
	for _, key := range []string{"tls.crt", heddlev1alpha1.CAKey, "cert.pem"} {
		if len(data[key]) > 0 {
			return data[key]
		}
	}
	return nil
}

func readCertificates(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(raw) > 0 {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate: %w", err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return out, nil
}

func checkBundles(f *facts) verdict {
	if err := errors.Join(f.namespaces.err, f.pods.err, f.bundles.err); err != nil {
		return unknown(err)
	}
	if f.caBundle.err != nil {
		return unknown(f.caBundle.err)
	}
	want := []byte(f.caBundle.value.Data[heddlev1alpha1.CAKey])
	var wrong []string
	for _, ns := range f.meshed() {
		m, there := f.bundles.value[ns]
		switch {
		case !there:
			wrong = append(wrong, ns+" has none")
		case !sameCertificates([]byte(m.Data[heddlev1alpha1.CAKey]), want):
			wrong = append(wrong, ns+" has another one than the operator")
		}
	}
	return findings(fail, wrong)
}
