package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"text/template"
	"time"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// variant is one way from web to cart.
type variant struct {
	name     string
	short    string
	url      string
	proxy    string // container of the sidecar; empty for none
	manifest string
}

func (v variant) namespace() string { return "dataplane-" + v.short }

//go:embed pair.yaml
var pairYAML string

var pair = template.Must(template.New("pair").Parse(pairYAML))

// features are what a pair does beyond mutual TLS and RBAC.
type features struct {
	Namespace, Certificates    string
	Image                      string // of Envoy
	Names                      []string
	Metrics, Inspectors, Retry bool
}

// variants begin with no proxy and the smallest pair, which the others are held
// against; image is the Envoy of all. Each of the next adds one thing of Heddle's to the smallest.
func variants(image string) ([]variant, error) {
	apps := shoptest.Service("cart", "app: cart") + shoptest.App("cart", "cart", "v1", "serve") + shoptest.App("web", "web", "v1", "serve")
	namespace := func(name, labels string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {" + labels + "}}\n"
	}
	inside := func(manifest, name string) string {
		return strings.ReplaceAll(manifest, "metadata: {name:", "metadata: {namespace: "+name+", name:")
	}
	all := []variant{{name: "no proxy", short: "none", url: "http://cart/"}}
	all[0].manifest = namespace(all[0].namespace(), "") + inside(apps, all[0].namespace())
	certificates, err := secret()
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		name, short string
		features
	}{
		{"smallest pair", "least", features{}},
		{"and metrics", "metrics", features{Metrics: true}},
		{"and inspectors", "inspectors", features{Inspectors: true}},
		{"and retries", "retry", features{Retry: true}},
	} {
		v := variant{name: one.name, short: one.short, url: "http://127.0.0.1:9001/", proxy: "envoy"}
		one.Namespace, one.Certificates, one.Image, one.Names = v.namespace(), certificates, image, []string{"cart", "web"}
		var out bytes.Buffer
		if err := pair.Execute(&out, one.features); err != nil {
			return nil, err
		}
		v.manifest = namespace(v.namespace(), "") + "---\n" + out.String()
		all = append(all, v)
	}
	heddle := variant{name: "Heddle", short: "heddle", url: "http://cart/", proxy: "heddle-proxy"}
	heddle.manifest = namespace(heddle.namespace(), "heddle.dev/inject: enabled") + inside(apps, heddle.namespace())
	return append(all, heddle), nil
}

// secret is the data of a Secret with what both ends of a pair show each other.
func secret() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	uri := &url.URL{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/dataplane/sa/pair"}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pair"}, URIs: []*url.URL{uri}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	encode := func(kind string, raw []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
	}
	return fmt.Sprintf("{crt.pem: %s, key.pem: %s}", encode("CERTIFICATE", der), encode("PRIVATE KEY", rawKey)), nil
}
