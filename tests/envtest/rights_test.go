package envtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// right is what may be done with a resource. Verbs that mean the same to a
// cluster's owner are one: to read, to change, and each of the others.
type right struct{ verb, resource string }

func newRight(verb, group, resource, subresource string) right {
	switch verb {
	case "get", "list", "watch":
		verb = "read"
	case "patch", "update":
		verb = "change"
	}
	if subresource != "" {
		resource += "/" + subresource
	}
	if group != "" {
		resource += "." + group
	}
	return right{verb, resource}
}

// unexercised are rights that a run like TestOperator's doesn't use.
var unexercised = map[right]string{
	{"change", "canaries/finalizers.heddle.dev"}: "asked for by admission, when a split is owned by a Canary",
	{"change", "events"}:                         "for an event that comes again",
	{"change", "events.events.k8s.io"}:           "for an event that comes again",
	{"read", "alertproviders.heddle.dev"}:        "only once a canary has alerts",
	{"read", "metrictemplates.heddle.dev"}:       "only once a canary has checks of its own",
	{"change", "secrets"}:                        "the CA's root is not rolled yet",
}

// request is one line of the audit log.
type request struct {
	Verb           string
	ObjectRef      struct{ APIGroup, Resource, Subresource string }
	RequestURI     string
	ResponseStatus struct {
		Code    int
		Message string
	}
}

// requests reads what the operator has asked for.
func (c *cluster) requests(t *testing.T) []request {
	t.Helper()
	raw, err := os.ReadFile(c.auditLog)
	if err != nil {
		t.Fatal(err)
	}
	var out []request
	lines := json.NewDecoder(bytes.NewReader(raw))
	for {
		var r request
		switch err := lines.Decode(&r); {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			t.Fatal(err)
		}
		out = append(out, r)
	}
}

// granted are the operator's rights as they are installed.
func (c *cluster) granted(t *testing.T) map[right]bool {
	t.Helper()
	var (
		everywhere rbacv1.ClusterRole
		own        rbacv1.Role
	)
	key := client.ObjectKey{Name: heddlev1alpha1.OperatorName}
	if err := c.client.Get(t.Context(), key, &everywhere); err != nil {
		t.Fatal(err)
	}
	key.Namespace = heddlev1alpha1.SystemNamespace
	if err := c.client.Get(t.Context(), key, &own); err != nil {
		t.Fatal(err)
	}
	return rightsOf(slices.Concat(everywhere.Rules, own.Rules))
}

func rightsOf(rules []rbacv1.PolicyRule) map[right]bool {
	out := map[right]bool{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					out[newRight(verb, group, resource, "")] = true
				}
			}
		}
	}
	return out
}

// inUse reads in the API server's own log what the operator has used, and that it
// was refused nothing.
func (c *cluster) inUse(t *testing.T) map[right]bool {
	t.Helper()
	used, refused := map[right]bool{}, map[string]bool{}
	for _, r := range c.requests(t) {
		used[newRight(r.Verb, r.ObjectRef.APIGroup, r.ObjectRef.Resource, r.ObjectRef.Subresource)] = true
		if code := r.ResponseStatus.Code; code == http.StatusUnauthorized || code == http.StatusForbidden {
			refused[fmt.Sprintf("%s %s: %s", r.Verb, r.RequestURI, r.ResponseStatus.Message)] = true
		}
	}
	for _, r := range slices.Sorted(maps.Keys(refused)) {
		t.Errorf("refused: %s", r)
	}
	return used
}

// testRightsInUse holds what the operator has used against what it is granted.
func testRightsInUse(t *testing.T, c *cluster) {
	used := c.inUse(t)
	for r := range c.granted(t) {
		if _, known := unexercised[r]; !known && !used[r] {
			t.Errorf("the operator never makes use of its right to %s %s", r.verb, r.resource)
		}
	}
	for r, why := range unexercised {
		if used[r] {
			t.Errorf("the right to %s %s is in use, so this is not true: %s", r.verb, r.resource, why)
		}
	}
}

func TestOperatorMayNotDoMore(t *testing.T) {
	t.Parallel()
	c := installed(t)
	config := rest.CopyConfig(c.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: operatorUser, Groups: []string{
		"system:serviceaccounts", "system:serviceaccounts:" + heddlev1alpha1.SystemNamespace, "system:authenticated",
	}}
	operator, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) error {
		return operator.Discovery().RESTClient().Verb(method).AbsPath(path).Do(t.Context()).Error()
	}
	if err := ask(http.MethodGet, "/api/v1/pods"); err != nil {
		t.Fatalf("the operator can't even list pods: %v", err)
	}
	for resource, requests := range map[string][]struct{ method, path string }{
		"other Secrets": {
			{http.MethodGet, "/api/v1/secrets"},
			{http.MethodGet, "/api/v1/namespaces/shop/secrets/db"},
			{http.MethodGet, "/api/v1/namespaces/shop/secrets/heddle-ca-key"},
			{http.MethodPost, "/api/v1/namespaces/shop/secrets"},
			{http.MethodGet, "/api/v1/namespaces/heddle-system/secrets"},
			{http.MethodGet, "/api/v1/namespaces/heddle-system/secrets/other"},
			{http.MethodDelete, "/api/v1/namespaces/heddle-system/secrets/heddle-ca-key"},
		},
		"other ConfigMaps": {
			{http.MethodGet, "/api/v1/configmaps"},
			{http.MethodGet, "/api/v1/namespaces/shop/configmaps/settings"},
			{http.MethodPatch, "/api/v1/namespaces/kube-system/configmaps/coredns"},
			{http.MethodDelete, "/api/v1/namespaces/shop/configmaps/heddle-ca"},
		},
		"pods but to read them": {
			{http.MethodPost, "/api/v1/namespaces/shop/pods"},
			{http.MethodDelete, "/api/v1/namespaces/shop/pods/web"},
			{http.MethodPatch, "/api/v1/namespaces/shop/pods/web"},
			{http.MethodPost, "/api/v1/namespaces/shop/pods/web/exec"},
			{http.MethodPost, "/api/v1/namespaces/shop/pods/web/attach"},
			{http.MethodPost, "/api/v1/namespaces/shop/pods/web/portforward"},
			{http.MethodPost, "/api/v1/namespaces/shop/pods/web/eviction"},
			{http.MethodPatch, "/api/v1/namespaces/shop/pods/web/ephemeralcontainers"},
			{http.MethodGet, "/api/v1/namespaces/shop/pods/web/log"},
			{http.MethodGet, "/api/v1/nodes"},
			{http.MethodGet, "/api/v1/nodes/node1/proxy/"},
		},
		"what users ask for": {
			{http.MethodPatch, "/apis/access.smi-spec.io/v1alpha3/namespaces/shop/traffictargets/cart"},
			{http.MethodPut, "/apis/specs.smi-spec.io/v1alpha4/namespaces/shop/httproutegroups/cart"},
			{http.MethodDelete, "/apis/split.smi-spec.io/v1alpha4/namespaces/shop/trafficsplits/cart"},
			{http.MethodPatch, "/apis/heddle.dev/v1alpha1/meshconfigs/default"},
			{http.MethodPatch, "/apis/heddle.dev/v1alpha1/namespaces/shop/canaries/cart"},
			{http.MethodDelete, "/apis/apps/v1/namespaces/shop/deployments/cart"},
			{http.MethodDelete, "/api/v1/namespaces/shop/services/cart"},
			{http.MethodPatch, "/api/v1/namespaces/shop"},
			{http.MethodDelete, "/api/v1/namespaces/shop"},
		},
		"its own rights": {
			{http.MethodPatch, "/apis/rbac.authorization.k8s.io/v1/clusterroles/heddle-operator"},
			{http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"},
			{http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/namespaces/heddle-system/rolebindings"},
			{http.MethodPost, "/api/v1/namespaces/kube-system/serviceaccounts/default/token"},
			{http.MethodPost, "/apis/certificates.k8s.io/v1/certificatesigningrequests"},
		},
		"others' admission and definitions": {
			{http.MethodPatch, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/other"},
			{http.MethodPost, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"},
			{http.MethodGet, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"},
			{http.MethodPatch, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/certificates.cert-manager.io"},
			{http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"},
			{http.MethodPost, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"},
		},
	} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			for _, r := range requests {
				if err := ask(r.method, r.path); !apierrors.IsForbidden(err) {
					t.Errorf("%s %s: %v", r.method, r.path, err)
				}
			}
		})
	}
	// These have no request of their own.
	for _, r := range []authorizationv1.ResourceAttributes{
		{Verb: "impersonate", Resource: "users"},
		{Verb: "impersonate", Resource: "serviceaccounts", Namespace: "kube-system"},
		{Verb: "bind", Group: rbacv1.GroupName, Resource: "clusterroles"},
		{Verb: "escalate", Group: rbacv1.GroupName, Resource: "clusterroles"},
	} {
		review, err := operator.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(),
			&authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &r}}, metav1.CreateOptions{})
		if err != nil || review.Status.Allowed {
			t.Errorf("%s %s is allowed: %v", r.Verb, r.Resource, err)
		}
	}
}

// Whoever may edit a namespace may shape its traffic; no more. There is no
// controller here that would add our roles to the cluster's own, so they are
// bound by themselves.
func TestRolesOfUsers(t *testing.T) {
	t.Parallel()
	c := installed(t)
	namespace := c.namespace(t, nil)
	bind := func(role string) func(verb string, k kind, subresource, in string) bool {
		user := role + "-" + namespace
		c.create(t, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		})
		return func(verb string, k kind, subresource, in string) bool {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: verb, Group: k.version.Group, Version: k.version.Version, Resource: k.resource, Subresource: subresource, Namespace: in,
				},
			}}
			c.create(t, review)
			return review.Status.Allowed
		}
	}
	view, edit := bind("heddle-view"), bind("heddle-edit")
	for _, k := range kinds {
		own := !k.clusterScoped()
		got := map[string]bool{
			"view may list":                      view("list", k, "", namespace),
			"view may list elsewhere":            view("list", k, "", "default"),
			"view may delete":                    view("delete", k, "", namespace),
			"edit may create":                    edit("create", k, "", namespace),
			"edit may delete":                    edit("delete", k, "", namespace),
			"edit may create elsewhere":          edit("create", k, "", "default"),
			"edit may say what the operator did": edit("patch", k, "status", namespace),
		}
		want := map[string]bool{
			"view may list": own, "view may list elsewhere": false, "view may delete": false, "edit may create": own,
			"edit may delete": own, "edit may create elsewhere": false, "edit may say what the operator did": false,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k.kind, diff)
		}
	}
}
