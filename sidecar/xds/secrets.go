package xds

import "time"

const (
	identityName = "identity"
	// A certificate that could not be made, or was refused, is made anew
	// after a second, then two, up to about a minute.
	reissueAfter = time.Second
	reissueLimit = 64 * time.Second
)

// identity returns the proxy's own certificate. It is made when there is none
// or the one there is has been declared stale; if that fails, the old one
// stays: a proxy is never told that it has no identity while it has one.
func (st *stream) identity() *Resource {
	if st.secret != nil && !st.stale {
		return st.secret
	}
	if st.server.opts.Now().Before(st.notBefore) {
		return st.secret
	}
	secret, renewAt, expires, err := st.server.opts.Issuer.Identity(st.client, st.csr)
	now := st.server.opts.Now()
	if err != nil {
		st.server.opts.Log.Error(err, "no certificate for a proxy", "namespace", st.client.Namespace, "pod", st.client.Pod)
		delay := st.reissueDelay()
		st.notBefore = now.Add(delay)
		st.renew.Reset(delay)
		return st.secret
	}
	st.secret, st.stale, st.expires = secret, false, expires
	st.renew.Reset(max(renewAt.Sub(now), reissueAfter))
	return secret
}

// identityAnswered follows what a proxy made of its certificate. Envoy heals
// from a refusal only by changed bytes, so a refused one is made anew.
func (st *stream) identityAnswered(refused bool) {
	if refused {
		st.renew.Reset(st.reissueDelay())
		return
	}
	st.failures = 0
}

func (st *stream) reissueDelay() time.Duration {
	delay := min(reissueAfter<<min(st.failures, 16), reissueLimit)
	st.failures++
	return delay
}
