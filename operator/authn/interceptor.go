package authn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type contextKey struct{}

// FromContext returns the identity that the interceptor put there.
func FromContext(ctx context.Context) (Identity, bool) {
	identity, ok := ctx.Value(contextKey{}).(Identity)
	return identity, ok
}

// Stream authenticates a stream before its handler sees it, and ends it when
// the token does: the proxy then comes again with the one the kubelet has
// renewed.
func (a *Authenticator) Stream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	identity, err := a.incoming(stream.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.WithValue(stream.Context(), contextKey{}, identity), a.deadline(identity))
	defer cancel()
	return handler(server, &authenticated{ServerStream: stream, ctx: ctx})
}

// Unary authenticates a call before its handler sees it.
func (a *Authenticator) Unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	identity, err := a.incoming(ctx)
	if err != nil {
		return nil, err
	}
	return handler(context.WithValue(ctx, contextKey{}, identity), request)
}

// deadline is when a stream ends, on the wall clock of this process.
func (a *Authenticator) deadline(identity Identity) time.Time {
	return time.Now().Add(lifeOf(identity.Expires.Sub(a.now()), rand.Float64())) //nolint:gosec // jitter, not a secret
}

// lifeOf is how long a stream may last whose token has left to live: no longer
// than the token, and up to a tenth less, so that pods that were started
// together don't come again together. The kubelet has long renewed the token
// by then: it does so when a fifth of its life is left.
func lifeOf(left time.Duration, spread float64) time.Duration {
	return left - time.Duration(spread*0.1*float64(left))
}

func (a *Authenticator) incoming(ctx context.Context) (Identity, error) {
	token, err := bearer(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return Identity{}, status.Error(codes.Unauthenticated, err.Error())
	}
	identity, err := a.Authenticate(ctx, token)
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return Identity{}, status.Error(codes.Unauthenticated, err.Error())
	case err != nil:
		return Identity{}, status.Error(codes.Unavailable, err.Error())
	}
	return identity, nil
}

// bearer returns the token of the only authorization header.
func bearer(values []string) (string, error) {
	if len(values) != 1 {
		return "", fmt.Errorf("%d authorization headers; exactly one is needed", len(values))
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", errors.New("the authorization header is not a bearer token")
	}
	return token, nil
}

// CheckNode refuses what a proxy says of itself if that contradicts the
// identity: it would be another pod's configuration, or a mix-up that is
// better found at once.
func CheckNode(identity Identity, nodeID, nodeCluster, podUID string) error {
	for _, claim := range []struct{ what, claimed, proved string }{
		{"node id", nodeID, identity.Namespace + "/" + identity.PodName},
		{"node cluster", nodeCluster, identity.Namespace + "/" + identity.ServiceAccount},
		{"pod UID", podUID, identity.PodUID},
	} {
		if claim.claimed != claim.proved {
			return fmt.Errorf("%s %q is not the token's, which is %q", claim.what, claim.claimed, claim.proved)
		}
	}
	return nil
}

type authenticated struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream has no other way
}

// Context returns the stream's context with the identity in it.
func (s *authenticated) Context() context.Context { return s.ctx }
