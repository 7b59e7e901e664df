// Package egress makes HTTP clients for addresses that users of a namespace
// name. What the operator could reach by being where it is, and they couldn't,
// is out of their reach through it too.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// longest is how much of an answer is read.
const longest = 1 << 20

// ErrForbidden is returned for an address of the operator's own pod, node link
// or of no host.
var ErrForbidden = errors.New("loopback, link-local and multicast addresses aren't called on anybody's behalf")

// Guard judges an address before it is dialed.
type Guard func(netip.Addr) error

// Outside lets through what isn't the caller's own machine or link, where
// debug endpoints and the cloud's metadata are. Names are judged by what they
// resolve to.
func Outside(a netip.Addr) error {
	if a = a.Unmap(); a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || a.IsInterfaceLocalMulticast() {
		return fmt.Errorf("%s: %w", a, ErrForbidden)
	}
	return nil
}

// Transport sends each request on a connection of its own, follows no proxy
// and cuts answers off at a mebibyte. The tls.Config may be nil.
func Transport(guard Guard, config *tls.Config) http.RoundTripper {
	if config == nil {
		config = &tls.Config{}
	}
	config.MinVersion = tls.VersionTLS12
	dialer := &net.Dialer{Timeout: 5 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
		return guard(to.Addr())
	}}
	return limited{&http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: config, DisableKeepAlives: true,
		TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}}
}

// Client doesn't follow redirects: they are answers.
func Client(guard Guard, config *tls.Config) *http.Client {
	return &http.Client{Transport: Transport(guard, config), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // a RoundTripper's errors are its callers' to wrap
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, longest), response.Body}
	return response, nil
}
