// Package authn tells who a sidecar is. A sidecar proves it by a service
// account token that the kubelet projects into its pod, bound to the pod and
// to Heddle's audience; the API server is asked whether the token holds.
//
//	authorization header -> TokenReview -> Identity -> context of the stream
package authn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

const (
	accountPrefix = "system:serviceaccount:"
	extraPodName  = "authentication.kubernetes.io/pod-name"
	extraPodUID   = "authentication.kubernetes.io/pod-uid"

	// cacheFor bounds how long a revoked token is still taken.
	cacheFor = time.Minute
	cacheMax = 8192

	// maxToken bounds what is passed on to the API server; tokens have about
	// 1 kB.
	maxToken = 16 << 10
	// reviewTimeout bounds how long a stream waits for the API server.
	reviewTimeout = 10 * time.Second
)

// ErrUnauthenticated is wrapped by every refusal of a token; other errors
// mean that the API server could not be asked.
var ErrUnauthenticated = errors.New("unauthenticated")

// Identity is what a token proves.
type Identity struct {
	Namespace      string
	ServiceAccount string
	PodName        string
	PodUID         string
	// Expires is the end of the token.
	Expires time.Time
}

// Authenticator asks the API server about tokens.
type Authenticator struct {
	client kubernetes.Interface
	now    func() time.Time

	mu    sync.Mutex
	cache map[[sha256.Size]byte]entry
}

type entry struct {
	identity Identity
	until    time.Time
}

// New returns an authenticator that asks through the client.
func New(client kubernetes.Interface, now func() time.Time) *Authenticator {
	return &Authenticator{client: client, now: now, cache: map[[sha256.Size]byte]entry{}}
}

// Authenticate returns who holds the token. Only tokens count that are bound
// to a pod and made for Heddle's audience. The token is not kept and appears
// in no error.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, fmt.Errorf("%w: no token", ErrUnauthenticated)
	}
	if len(token) > maxToken {
		return Identity{}, fmt.Errorf("%w: a token of %d bytes; at most %d are read", ErrUnauthenticated, len(token), maxToken)
	}
	key := sha256.Sum256([]byte(token))
	if identity, ok := a.cached(key); ok {
		return identity, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review, err := a.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{heddlev1alpha1.TokenAudience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return Identity{}, fmt.Errorf("ask the API server about a token: %w", err)
	}
	identity, err := read(review.Status)
	if err != nil {
		return Identity{}, err
	}
	identity.Expires, err = expiry(token)
	if err != nil {
		return Identity{}, err
	}
	now := a.now()
	if !identity.Expires.After(now) {
		return Identity{}, fmt.Errorf("%w: the token has expired", ErrUnauthenticated)
	}
	a.remember(key, entry{identity: identity, until: minTime(identity.Expires, now.Add(cacheFor))})
	return identity, nil
}

func (a *Authenticator) cached(key [sha256.Size]byte) (Identity, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.cache[key]
	if !ok || !a.now().Before(found.until) {
		return Identity{}, false
	}
	return found.identity, true
}

func (a *Authenticator) remember(key [sha256.Size]byte, e entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= cacheMax {
		now := a.now()
		for k, old := range a.cache {
			if !now.Before(old.until) || len(a.cache) >= cacheMax {
				delete(a.cache, k)
			}
		}
	}
	a.cache[key] = e
}

func read(status authenticationv1.TokenReviewStatus) (Identity, error) {
	switch {
	case !status.Authenticated:
		return Identity{}, fmt.Errorf("%w: the API server does not accept the token: %s", ErrUnauthenticated, status.Error)
	case !slices.Contains(status.Audiences, heddlev1alpha1.TokenAudience):
		return Identity{}, fmt.Errorf("%w: the token is not for audience %q", ErrUnauthenticated, heddlev1alpha1.TokenAudience)
	}
	account, ok := strings.CutPrefix(status.User.Username, accountPrefix)
	namespace, name, split := strings.Cut(account, ":")
	if !ok || !split || namespace == "" || name == "" || strings.Contains(name, ":") {
		return Identity{}, fmt.Errorf("%w: %q is not a service account", ErrUnauthenticated, status.User.Username)
	}
	identity := Identity{
		Namespace: namespace, ServiceAccount: name,
		PodName: first(status.User.Extra[extraPodName]), PodUID: first(status.User.Extra[extraPodUID]),
	}
	if identity.PodName == "" || identity.PodUID == "" {
		return Identity{}, fmt.Errorf("%w: the token of %s/%s is not bound to a pod", ErrUnauthenticated, namespace, name)
	}
	return identity, nil
}

func first(values authenticationv1.ExtraValue) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// expiry reads when a token ends. The API server has verified it by then.
func expiry(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("%w: the token is not a JWT", ErrUnauthenticated)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: the token's payload is not base64", ErrUnauthenticated)
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires <= 0 {
		return time.Time{}, fmt.Errorf("%w: the token says no expiry", ErrUnauthenticated)
	}
	return time.Unix(claims.Expires, 0), nil
}

func minTime(x, y time.Time) time.Time {
	if x.Before(y) {
		return x
	}
	return y
}
