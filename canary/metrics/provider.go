package metrics

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/heddle-mesh/heddle/canary/egress"
)

// Provider is somebody's own Prometheus. The zero value is the operator's.
type Provider struct {
	Address            string
	Header             http.Header
	Username, Password string
	Token              string
	CA                 []byte // PEM; empty is what the system trusts
	InsecureSkipVerify bool
}

// Value is the one number that a query comes to: NaN when it comes to none, an
// error when it comes to several.
func (p *Prometheus) Value(ctx context.Context, of Provider, query string, now time.Time) (float64, error) {
	if of.Address == "" {
		return p.ask(ctx, query, now)
	}
	client, err := of.client(p.guard)
	if err != nil {
		return 0, err
	}
	return (&Prometheus{api: client}).ask(ctx, query, now)
}

func (o Provider) client(guard egress.Guard) (prometheusv1.API, error) {
	config := &tls.Config{InsecureSkipVerify: o.InsecureSkipVerify} //nolint:gosec // asked for, by name
	if len(o.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("ca.crt of the secret holds no certificate in PEM")
		}
	}
	header := o.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	switch {
	case o.Token != "":
		header.Set("Authorization", "Bearer "+o.Token)
	case o.Username != "":
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(o.Username+":"+o.Password)))
	}
	plain := egress.Client(guard, config)
	plain.Transport = headed{plain.Transport, header}
	client, err := api.NewClient(api.Config{Address: o.Address, Client: plain})
	if err != nil {
		return nil, fmt.Errorf("prometheus at %q: %w", o.Address, err)
	}
	return prometheusv1.NewAPI(client), nil
}

// headed adds header lines to each request.
type headed struct {
	next   http.RoundTripper
	header http.Header
}

// RoundTrip implements http.RoundTripper.
func (h headed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h.header {
		r.Header[name] = values
	}
	return h.next.RoundTrip(r) //nolint:wrapcheck // a RoundTripper's errors are its callers' to wrap
}
