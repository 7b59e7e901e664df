package metricsapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
)

const (
	// What the API server says of itself to extensions.
	authNamespace, authConfigMap = "kube-system", "extension-apiserver-authentication"

	decisionTTL   = 10 * time.Second
	reviewTimeout = 5 * time.Second
)

// Delegated has the API server say who asks and whether they may: the aggregator
// by its certificate and headers, others by token; RBAC by SubjectAccessReview.
type Delegated struct {
	authenticator authenticator.Request
	authorizer    authorizer.Authorizer
	headers       *headerrequest.RequestHeaderAuthRequestController
	ca            *dynamiccertificates.ConfigMapCAController
}

// NewDelegated must be run (Start) before it lets anybody in.
func NewDelegated(kube kubernetes.Interface) (*Delegated, error) {
	d := &Delegated{headers: headerrequest.NewRequestHeaderAuthRequestController(authConfigMap, authNamespace, kube,
		"requestheader-username-headers", "requestheader-uid-headers", "requestheader-group-headers",
		"requestheader-extra-headers-prefix", "requestheader-allowed-names")}
	var err error
	if d.ca, err = dynamiccertificates.NewDynamicCAFromConfigMapController("front-proxy", authNamespace, authConfigMap, "requestheader-client-ca-file", kube); err != nil {
		return nil, fmt.Errorf("certificates of the aggregator: %w", err)
	}
	backoff := wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 3}
	d.authenticator, _, err = authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient: kube.AuthenticationV1(), TokenAccessReviewTimeout: reviewTimeout,
		WebhookRetryBackoff: &backoff, CacheTTL: decisionTTL,
		RequestHeaderConfig: &authenticatorfactory.RequestHeaderConfig{
			CAContentProvider:   d.ca,
			UsernameHeaders:     headerrequest.StringSliceProviderFunc(d.headers.UsernameHeaders),
			UIDHeaders:          headerrequest.StringSliceProviderFunc(d.headers.UIDHeaders),
			GroupHeaders:        headerrequest.StringSliceProviderFunc(d.headers.GroupHeaders),
			ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(d.headers.ExtraHeaderPrefixes),
			AllowedClientNames:  headerrequest.StringSliceProviderFunc(d.headers.AllowedClientNames),
		},
	}.New()
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	d.authorizer, err = authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: kube.AuthorizationV1(), AllowCacheTTL: decisionTTL, DenyCacheTTL: decisionTTL, WebhookRetryBackoff: &backoff,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("authorization: %w", err)
	}
	return d, nil
}

// NeedLeaderElection is false: every replica answers.
func (d *Delegated) NeedLeaderElection() bool { return false }

// Start follows what the API server says of itself until the context ends.
func (d *Delegated) Start(ctx context.Context) error {
	go d.headers.Run(ctx, 1)
	d.ca.Run(ctx, 1)
	return nil
}

// Allow implements Access.
func (d *Delegated) Allow(r *http.Request, a Attributes) error {
	who, ok, err := d.authenticator.AuthenticateRequest(r)
	if err != nil || !ok {
		return apierrors.NewUnauthorized("neither the API server's aggregator nor a token it knows")
	}
	if a == (Attributes{}) {
		return nil
	}
	decision, reason, err := d.authorizer.Authorize(r.Context(), authorizer.AttributesRecord{
		User: who.User, Verb: a.Verb, Namespace: a.Namespace, APIGroup: Group, APIVersion: a.Version,
		Resource: a.Resource, Subresource: a.Subresource, Name: a.Name, ResourceRequest: true, Path: r.URL.Path,
	})
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("ask the API server whether %s may: %w", who.User.GetName(), err))
	}
	if decision != authorizer.DecisionAllow {
		if reason == "" {
			reason = fmt.Sprintf("%s may not %s %s", who.User.GetName(), a.Verb, a.Resource)
		}
		return apierrors.NewForbidden(schema.GroupResource{Group: Group, Resource: a.Resource}, a.Name, fmt.Errorf("%s", reason))
	}
	return nil
}
