package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// caSecretName is the operator's Secret with the certificate authority.
const caSecretName = "heddle-ca-key"

// authorityWarn is how long before its end an authority deserves a look.
const authorityWarn = 30 * 24 * time.Hour

// authority returns the certificates that the operator signs with. Who may not
// read the Secret can still read whom the API server is told to trust.
func (f *facts) authority() ([]*x509.Certificate, error) {
	if apierrors.IsForbidden(f.caSecret.err) {
		for _, c := range f.webhooks.value {
			for _, w := range c.Webhooks {
				if certs, err := readCertificates(w.ClientConfig.CABundle); err == nil {
					return certs, nil
				}
			}
		}
	}
	if f.caSecret.err != nil {
		return nil, f.caSecret.err
	}
	certs, err := readCertificates(f.caSecret.value.Data[corev1.TLSCertKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", f.system, caSecretName, err)
	}
	return certs, nil
}

func checkAuthority(f *facts) verdict {
	certs, err := f.authority()
	switch {
	case apierrors.IsNotFound(err):
		return fail(fmt.Sprintf("secret %s/%s is missing", f.system, caSecretName))
	case err != nil && f.caSecret.err == nil:
		return fail(err.Error())
	case err != nil:
		return unknown(err)
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

// holdsAll is whether a bundle has every certificate wanted; while roots are
// rotated it has more.
func holdsAll(bundle, want []*x509.Certificate) bool {
	return !slices.ContainsFunc(want, func(w *x509.Certificate) bool {
		return !slices.ContainsFunc(bundle, w.Equal)
	})
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
	want, err := f.authority()
	if err != nil {
		return unknown(err)
	}
	var wrong []string
	for _, ns := range f.meshed() {
		m, there := f.bundles.value[ns]
		if !there {
			wrong = append(wrong, ns+" has none")
			continue
		}
		have, err := readCertificates([]byte(m.Data[heddlev1alpha1.CAKey]))
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", ns, err))
		case !holdsAll(have, want):
			wrong = append(wrong, ns+" has one without the operator's authority")
		}
	}
	return findings(fail, wrong)
}
