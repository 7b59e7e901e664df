package ca

import (
	"crypto/tls"
	"sync"
	"time"
)

// ServingSource hands out a serving certificate and makes a new one at two
// thirds of its life. The key is in memory only, each replica has its own.
type ServingSource struct {
	authority *Authority
	names     []string
	now       func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
}

// NewServingSource returns a source of certificates for the DNS names.
func NewServingSource(authority *Authority, names []string, now func() time.Time) *ServingSource {
	return &ServingSource{authority: authority, names: names, now: now}
}

// GetCertificate is for tls.Config. Where a new certificate can't be made the
// old one is given as long as it holds.
func (s *ServingSource) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current != nil {
		life := s.current.Leaf.NotAfter.Sub(s.current.Leaf.NotBefore)
		if now.Before(s.current.Leaf.NotBefore.Add(life * 2 / 3)) {
			return s.current, nil
		}
	}
	cert, err := s.authority.IssueServing(s.names, now)
	if err != nil {
		if s.current != nil && now.Before(s.current.Leaf.NotAfter) {
			return s.current, nil
		}
		return nil, err
	}
	s.current = cert
	return cert, nil
}

// TLSConfig is what the operator's servers use: TLS 1.3 and no less.
func (s *ServingSource) TLSConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.GetCertificate}
}
