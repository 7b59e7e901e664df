package authn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var start = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

// token is a JWT that ends at that time; nothing in it is signed.
func token(expires time.Time) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return encode(`{"alg":"RS256"}`) + "." + encode(fmt.Sprintf(`{"exp":%d}`, expires.Unix())) + "." + encode("signature")
}

// accepted is what the API server says about the token of a pod.
func accepted() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     []string{"heddle"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:shop:cart",
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"cart-1"},
				"authentication.kubernetes.io/pod-uid":  {"uid-1"},
			},
		},
	}
}

// apiServer answers every review with status or failure and counts them.
func apiServer(t *testing.T, status authenticationv1.TokenReviewStatus, failure error) (*fake.Clientset, *atomic.Int32) {
	t.Helper()
	kube, asked := fake.NewClientset(), &atomic.Int32{}
	kube.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		asked.Add(1)
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if diff := cmp.Diff([]string{"heddle"}, review.Spec.Audiences); diff != "" {
			t.Errorf("audiences asked for: (-want +got)\n%s", diff)
		}
		return true, &authenticationv1.TokenReview{Status: status}, failure
	})
	return kube, asked
}

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	with := func(change func(*authenticationv1.TokenReviewStatus)) authenticationv1.TokenReviewStatus {
		status := accepted()
		change(&status)
		return status
	}
	hour := start.Add(time.Hour)
	tests := map[string]struct {
		token   string
		status  authenticationv1.TokenReviewStatus
		failure error
		// wantErr is part of the error; wantAsked says whether the API server
		// is bothered.
		wantErr         string
		unauthenticated bool
		wantAsked       bool
	}{
		"a pod's own token is taken": {token: token(hour), status: accepted(), wantAsked: true},
		"no token":                   {wantErr: "no token", unauthenticated: true},
		"a huge token isn't passed on": {
			token: strings.Repeat("a", maxToken+1), status: accepted(), wantErr: "at most", unauthenticated: true,
		},
		"one that the API server refuses": {
			token: token(hour), status: authenticationv1.TokenReviewStatus{Error: "invalid bearer token"},
			wantErr: "invalid bearer token", unauthenticated: true, wantAsked: true,
		},
		"another audience": {
			token:   token(hour),
			status:  with(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"vault"} }),
			wantErr: `not for audience "heddle"`, unauthenticated: true, wantAsked: true,
		},
		"an API server that knows no audiences": {
			token:   token(hour),
			status:  with(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }),
			wantErr: `not for audience "heddle"`, unauthenticated: true, wantAsked: true,
		},
		"a person": {
			token:   token(hour),
			status:  with(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:admin" }),
			wantErr: "not a service account", unauthenticated: true, wantAsked: true,
		},
		"a service account's name with a colon": {
			token:   token(hour),
			status:  with(func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:shop:cart:x" }),
			wantErr: "not a service account", unauthenticated: true, wantAsked: true,
		},
		"a token that no pod is bound to": {
			token:   token(hour),
			status:  with(func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }),
			wantErr: "not bound to a pod", unauthenticated: true, wantAsked: true,
		},
		"a token bound to a pod's name alone": {
			token: token(hour),
			status: with(func(s *authenticationv1.TokenReviewStatus) {
				delete(s.User.Extra, "authentication.kubernetes.io/pod-uid")
			}),
			wantErr: "not bound to a pod", unauthenticated: true, wantAsked: true,
		},
		"one that has expired by our clock": {
			token: token(start), status: accepted(), wantErr: "expired", unauthenticated: true, wantAsked: true,
		},
		"one that says no expiry": {
			token: "a.e30.c", status: accepted(), wantErr: "no expiry", unauthenticated: true, wantAsked: true,
		},
		"an API server that doesn't answer": {
			token: token(hour), failure: errors.New("connection refused"), wantErr: "connection refused", wantAsked: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kube, asked := apiServer(t, tc.status, tc.failure)
			got, err := New(kube, at(start)).Authenticate(t.Context(), tc.token)
			if (asked.Load() > 0) != tc.wantAsked {
				t.Errorf("the API server was asked %d times", asked.Load())
			}
			if tc.wantErr == "" {
				want := Identity{Namespace: "shop", ServiceAccount: "cart", PodName: "cart-1", PodUID: "uid-1", Expires: hour}
				if err != nil {
					t.Fatal(err)
				}
				if !got.Expires.Equal(want.Expires) {
					t.Errorf("expires %s, want %s", got.Expires, want.Expires)
				}
				got.Expires = want.Expires
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("identity: (-want +got)\n%s", diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("error %v, want one with %q", err, tc.wantErr)
			}
			if errors.Is(err, ErrUnauthenticated) != tc.unauthenticated {
				t.Errorf("unauthenticated is %v: %v", !tc.unauthenticated, err)
			}
			if tc.token != "" && strings.Contains(err.Error(), tc.token) {
				t.Errorf("the error shows the token: %v", err)
			}
			if got != (Identity{}) {
				t.Errorf("an identity came with the error: %+v", got)
			}
		})
	}
}

func TestReviewsAreRemembered(t *testing.T) {
	t.Parallel()
	kube, asked := apiServer(t, accepted(), nil)
	now := start
	a := New(kube, func() time.Time { return now })
	long, short := token(start.Add(time.Hour)), token(start.Add(20*time.Second))
	steps := []struct {
		after     time.Duration
		token     string
		wantAsked int32
		wantErr   bool
	}{
		{0, long, 1, false},
		{0, short, 2, false},
		{19 * time.Second, short, 2, false},
		{20 * time.Second, short, 3, true}, // not beyond the token's end
		{59 * time.Second, long, 3, false},
		{60 * time.Second, long, 4, false}, // not longer than a minute
	}
	for _, step := range steps {
		now = start.Add(step.after)
		_, err := a.Authenticate(t.Context(), step.token)
		if (err != nil) != step.wantErr {
			t.Errorf("after %s: error %v", step.after, err)
		}
		if got := asked.Load(); got != step.wantAsked {
			t.Errorf("after %s: asked %d times, want %d", step.after, got, step.wantAsked)
		}
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	kube, asked := apiServer(t, authenticationv1.TokenReviewStatus{}, nil)
	a := New(kube, at(start))
	for range 2 {
		if _, err := a.Authenticate(t.Context(), token(start.Add(time.Hour))); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("error %v", err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times, want 2", asked.Load())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	kube, _ := apiServer(t, accepted(), nil)
	a := New(kube, at(start))
	for i := range cacheMax + 10 {
		a.remember([32]byte{byte(i), byte(i >> 8)}, entry{until: start.Add(time.Minute)})
	}
	if len(a.cache) > cacheMax {
		t.Errorf("%d reviews are remembered, at most %d should be", len(a.cache), cacheMax)
	}
}

func FuzzExpiry(f *testing.F) {
	f.Add(token(start))
	f.Add("a.b.c")
	f.Add("..")
	f.Add("a." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":-1}`)) + ".c")
	f.Add("a." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1e400}`)) + ".c")
	f.Fuzz(func(t *testing.T, text string) {
		expires, err := expiry(text)
		if err == nil && expires.Unix() <= 0 {
			t.Errorf("expires %s", expires)
		}
		if err != nil && !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("error %v", err)
		}
	})
}
