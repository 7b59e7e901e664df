package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// pki makes the cluster's certificates once; the last file written says that
// they are all there.
func (l *lab) pki() error {
	if _, err := os.Stat(l.kubeconfig()); err == nil {
		return nil
	}
	l.stepf("making certificates")
	if err := os.MkdirAll(l.path("pki"), 0o700); err != nil {
		return err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "heddle-lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if err := l.write("pki/ca.crt", "CERTIFICATE", caDER); err != nil {
		return err
	}
	for i, leaf := range []struct {
		file    string
		subject pkix.Name
		dns     []string
		ips     []string
	}{
		{
			"apiserver",
			pkix.Name{CommonName: "kube-apiserver"},
			[]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"},
			[]string{nodeIP, labSide, "127.0.0.1", "10.96.0.1"},
		},
		{"admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, nil},
		{"node", pkix.Name{CommonName: "system:node:node1", Organization: []string{"system:nodes"}}, []string{"node1"}, []string{nodeIP}},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 2), Subject: leaf.subject, DNSNames: leaf.dns,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		for _, ip := range leaf.ips {
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
		}
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		keyDER, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return err
		}
		if err := l.write("pki/"+leaf.file+".crt", "CERTIFICATE", der); err != nil {
			return err
		}
		if err := l.write("pki/"+leaf.file+".key", "EC PRIVATE KEY", keyDER); err != nil {
			return err
		}
	}
	accounts, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := l.write("pki/sa.key", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(accounts)); err != nil {
		return err
	}
	return os.WriteFile(l.kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: heddle-lab, cluster: {server: "https://%[1]s:6443", certificate-authority: %[2]s/pki/ca.crt}}]
users: [{name: admin, user: {client-certificate: %[2]s/pki/admin.crt, client-key: %[2]s/pki/admin.key}}]
contexts: [{name: heddle-lab, context: {cluster: heddle-lab, user: admin}}]
current-context: heddle-lab
`, labSide, l.state), 0o600)
}

func (l *lab) write(name, kind string, der []byte) error {
	return os.WriteFile(l.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
