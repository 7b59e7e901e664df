package envtest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// testRoles gives users one right each and asks for all.
func (m *metrics) testRoles(t *testing.T) {
	paths := map[string]string{
		"list deployments": m.own("/deployments"), "get deployments": m.own("/deployments/cart"), "get deployments/edges": m.own("/deployments/cart/edges"),
		"list edges": m.own("/edges"), "list deployments elsewhere": "/v1alpha2/namespaces/default/deployments", "list pods of all": "/v1alpha2/pods",
	}
	grant := func(name, kind string) {
		m.create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
		})
	}
	grant("heddle-traffic-metrics-view", "ClusterRole")
	may := map[string]func(string) bool{
		"nobody": func(string) bool { return false },
		"heddle-traffic-metrics-view": func(what string) bool {
			return !strings.Contains(what, "elsewhere") && !strings.Contains(what, "of all")
		},
	}
	for i, what := range []string{"list deployments", "get deployments", "get deployments/edges", "list edges"} {
		verb, resource, _ := strings.Cut(what, " ")
		name := "one-right-" + strconv.Itoa(i)
		m.create(t, &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"metrics.smi-spec.io"}, Resources: []string{resource}, Verbs: []string{verb}}},
		})
		grant(name, "Role")
		may[name] = func(asked string) bool { return asked == what }
	}
	for user, right := range may {
		for what, path := range paths {
			if right(what) {
				await(t, user+" may "+what, func(context.Context) error {
					_, err := m.raw(t, user, path)
					return err
				})
			} else if out, err := m.raw(t, user, path); !apierrors.IsForbidden(err) {
				t.Errorf("%s may %s: %v %s", user, what, err, out)
			}
		}
	}
}

// testDirect asks the operator itself, past the API server.
func (m *metrics) testDirect(t *testing.T) {
	var found struct {
		Spec struct{ CABundle string }
	}
	await(t, "the CA bundle is there", func(ctx context.Context) error {
		out, _, err := m.run(ctx, "get", "apiservice", "v1alpha2.metrics.smi-spec.io", "-o", "json")
		return errors.Join(err, json.Unmarshal([]byte(out), &found))
	})
	bundle, err := base64.StdEncoding.DecodeString(found.Spec.CABundle)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatalf("%v: CA bundle %q", err, found.Spec.CABundle)
	}
	front, err := tls.LoadX509KeyPair(filepath.Join(m.dir, "front-proxy.crt"), filepath.Join(m.dir, "front-proxy.key"))
	if err != nil {
		t.Fatal(err)
	}
	as := func(user string) http.Header {
		return http.Header{"X-Remote-User": {user}, "X-Remote-Group": {"system:authenticated", "system:masters"}}
	}
	plain := func(user string) http.Header { return http.Header{"X-Remote-User": {user}} }
	token, err := m.kube.CoreV1().ServiceAccounts(m.namespace).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bearer := http.Header{"Authorization": {"Bearer " + token.Status.Token}}
	forged := forgedFrontProxy(t)
	for name, tc := range map[string]struct {
		header      http.Header
		certificate *tls.Certificate
		want        int
	}{
		"without a name":   {nil, nil, http.StatusUnauthorized},
		"by headers alone": {as("admin"), nil, http.StatusUnauthorized},
		"by headers and a certificate of one's own making": {as("admin"), &forged, http.StatusUnauthorized},
		"with a token that is none":                        {http.Header{"Authorization": {"Bearer x"}}, nil, http.StatusUnauthorized},
		"with a token of who may not":                      {bearer, nil, http.StatusForbidden},
		"the aggregator for who may not":                   {plain("nobody"), &front, http.StatusForbidden},
		"the aggregator for who may":                       {as("admin"), &front, http.StatusOK},
	} {
		certificates := []tls.Certificate{}
		if tc.certificate != nil {
			certificates = append(certificates, *tc.certificate)
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: heddlev1alpha1.OperatorName + "." + heddlev1alpha1.SystemNamespace + ".svc", Certificates: certificates,
		}}
		for _, path := range []string{m.own("/deployments"), m.own("/deployments/cart/edges")} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(m.webhook))+metricsGroup+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if tc.header != nil {
				request.Header = tc.header.Clone()
			}
			response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != tc.want || tc.want != http.StatusOK && bytes.Contains(body, []byte("success_count")) {
				t.Errorf("%s, %s: %s, want %d: %s", name, path, response.Status, tc.want, body)
			}
		}
	}
}

// forgedFrontProxy has the aggregator's name and is nobody's.
func forgedFrontProxy(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cert.NewSelfSignedCACert(cert.Config{CommonName: frontProxyName}, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed.Raw}, PrivateKey: key}
}
