package arch

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// installed reads every object of a folder's YAML files, strictly: a misspelt
// field is an error.
func installed(t *testing.T, folder string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", folder, err)
	}
	var out []runtime.Object
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			object, _, err := decoder.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			out = append(out, object)
		}
	}
	return out
}

// the returns the only object of a type.
func the[T runtime.Object](t *testing.T, objects []runtime.Object) T {
	t.Helper()
	var found []T
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	if len(found) != 1 {
		t.Fatalf("found %d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// operatorRules returns the rules of the operator's cluster-wide role and of that in
// its own namespace.
func operatorRules(t *testing.T) (cluster, own []rbacv1.PolicyRule) {
	t.Helper()
	for _, object := range installed(t, "config/rbac") {
		switch role := object.(type) {
		case *rbacv1.ClusterRole:
			if role.Name == heddlev1alpha1.OperatorName {
				cluster = role.Rules
			}
		case *rbacv1.Role:
			if role.Namespace != heddlev1alpha1.SystemNamespace {
				t.Errorf("role %s is in namespace %s", role.Name, role.Namespace)
			}
			own = role.Rules
		}
	}
	if len(cluster) == 0 || len(own) == 0 {
		t.Fatal("the operator has no rules")
	}
	return cluster, own
}

func TestOperatorHasNoRightTooMany(t *testing.T) {
	t.Parallel()
	cluster, own := operatorRules(t)
	for _, rule := range slices.Concat(cluster, own) {
		for _, word := range slices.Concat(rule.Verbs, rule.Resources, rule.APIGroups, rule.NonResourceURLs) {
			if strings.Contains(word, "*") {
				t.Errorf("wildcard in %v", rule)
			}
		}
		for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("verb %s in %v", verb, rule)
			}
		}
		for _, resource := range rule.Resources {
			switch resource {
			case "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "serviceaccounts/token", "nodes/proxy":
				t.Errorf("%s in %v", resource, rule)
			}
		}
	}
	// What can be limited to a name is.
	named := map[string]string{
		"secrets":                         "heddle-ca-key",
		"configmaps":                      heddlev1alpha1.CAConfigMap,
		"mutatingwebhookconfigurations":   "heddle-injector",
		"validatingwebhookconfigurations": "heddle-validator",
	}
	for _, rule := range slices.Concat(cluster, own) {
		for _, resource := range rule.Resources {
			name, limited := named[resource]
			if limited && !slices.Equal(rule.Verbs, []string{"create"}) && !slices.Equal(rule.ResourceNames, []string{name}) {
				t.Errorf("%s must be limited to the name %s: %v", resource, name, rule)
			}
		}
	}
	for _, rule := range cluster {
		for _, resource := range []string{"secrets", "leases"} {
			if slices.Contains(rule.Resources, resource) {
				t.Errorf("%s in every namespace: %v", resource, rule)
			}
		}
		// Specs belong to their users; only TrafficSplits of a canary are made.
		for _, resource := range []string{"traffictargets", "httproutegroups", "tcproutes", "meshconfigs", "canaries", "pods", "namespaces"} {
			if slices.Contains(rule.Resources, resource) && !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
				t.Errorf("%s must only be read: %v", resource, rule)
			}
		}
	}
}

// A pod's own label decides, its namespace's only without one, and the control
// plane's namespaces are never touched. Exactly one webhook sees an injected
// pod, so that it is not called twice.
func TestWhichPodsTheWebhookSees(t *testing.T) {
	t.Parallel()
	config := the[*admissionv1.MutatingWebhookConfiguration](t, installed(t, "config/webhook"))
	const none = ""
	label := func(value string) labels.Set {
		if value == none {
			return labels.Set{}
		}
		return labels.Set{heddlev1alpha1.LabelInject: value}
	}
	tests := map[string]struct {
		namespace, namespaceLabel, podLabel string
		want                                int
	}{
		"no label at all":                          {"shop", none, none, 0},
		"the namespace is in":                      {"shop", "enabled", none, 1},
		"the namespace is out":                     {"shop", "disabled", none, 0},
		"the pod is in":                            {"shop", none, "enabled", 1},
		"the pod is in, the namespace is out":      {"shop", "disabled", "enabled", 1},
		"the pod is out, the namespace is in":      {"shop", "enabled", "disabled", 0},
		"both are in: called once":                 {"shop", "enabled", "enabled", 1},
		"an unknown value on the pod is no choice": {"shop", "enabled", "true", 1},
		"an unknown value on the namespace":        {"shop", "true", none, 0},
		"the system namespace by its label":        {heddlev1alpha1.SystemNamespace, "enabled", none, 0},
		"the system namespace by a pod's label":    {heddlev1alpha1.SystemNamespace, none, "enabled", 0},
		"kube-system by a pod's label":             {"kube-system", none, "enabled", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := label(tc.namespaceLabel)
			namespace[corev1.LabelMetadataName] = tc.namespace
			got := 0
			for _, webhook := range config.Webhooks {
				if matches(t, webhook.NamespaceSelector, namespace) && matches(t, webhook.ObjectSelector, label(tc.podLabel)) {
					got++
				}
			}
			if got != tc.want {
				t.Errorf("%d webhooks are called, want %d", got, tc.want)
			}
		})
	}
}

func matches(t *testing.T, selector *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Matches(set)
}

func TestWebhooksFailClosedAndReachTheOperator(t *testing.T) {
	t.Parallel()
	config := the[*admissionv1.MutatingWebhookConfiguration](t, installed(t, "config/webhook"))
	service := the[*corev1.Service](t, installed(t, "kustomize/base"))
	if config.Name != "heddle-injector" {
		t.Errorf("name %s", config.Name)
	}
	for _, webhook := range config.Webhooks {
		if *webhook.FailurePolicy != admissionv1.Fail || *webhook.SideEffects != admissionv1.SideEffectClassNoneOnDryRun || *webhook.TimeoutSeconds != 10 ||
			*webhook.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy || *webhook.MatchPolicy != admissionv1.Equivalent {
			t.Errorf("%s: failure policy, side effects, timeout, reinvocation or match policy", webhook.Name)
		}
		to := webhook.ClientConfig.Service
		if to.Name != service.Name || to.Namespace != service.Namespace || *to.Path != "/inject" {
			t.Errorf("%s calls %s/%s%s", webhook.Name, to.Namespace, to.Name, *to.Path)
		}
		if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == *to.Port && p.Name == "webhook" }) {
			t.Errorf("%s calls port %d, which is not the webhook's", webhook.Name, *to.Port)
		}
	}
}

func TestOperatorRunsRestrictedOnTheAgreedPorts(t *testing.T) {
	t.Parallel()
	objects := installed(t, "kustomize/base")
	namespace := the[*corev1.Namespace](t, objects)
	if got := namespace.Labels["pod-security.kubernetes.io/enforce"]; namespace.Name != heddlev1alpha1.SystemNamespace || got != "restricted" {
		t.Errorf("namespace %s enforces %q", namespace.Name, got)
	}
	deployment := the[*appsv1.Deployment](t, objects)
	service := the[*corev1.Service](t, objects)
	budget := the[*policyv1.PodDisruptionBudget](t, objects)
	pod := deployment.Spec.Template
	for what, selector := range map[string]*metav1.LabelSelector{
		"deployment": deployment.Spec.Selector, "budget": budget.Spec.Selector, "service": {MatchLabels: service.Spec.Selector},
	} {
		if !matches(t, selector, pod.Labels) {
			t.Errorf("the %s does not select the operator's pods", what)
		}
	}
	if pod.Spec.ServiceAccountName != heddlev1alpha1.OperatorName {
		t.Errorf("service account %s", pod.Spec.ServiceAccountName)
	}
	security := pod.Spec.SecurityContext
	if !*security.RunAsNonRoot || *security.RunAsUser == 0 || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod is not restricted: %v", security)
	}
	container := pod.Spec.Containers[0]
	inner := container.SecurityContext
	if *inner.AllowPrivilegeEscalation || !*inner.ReadOnlyRootFilesystem || !slices.Equal(inner.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("the container is not restricted: %v", inner)
	}

	got := map[string]int32{}
	for _, port := range container.Ports {
		got[port.Name] = port.ContainerPort
	}
	want := map[string]int32{
		"xds": heddlev1alpha1.PortXDS, "webhook": heddlev1alpha1.PortWebhook, "metrics": heddlev1alpha1.PortMetrics, "health": heddlev1alpha1.PortProbes,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	for _, port := range service.Spec.Ports {
		if want[port.TargetPort.StrVal] == 0 {
			t.Errorf("service port %s goes to %s, which the pod doesn't have", port.Name, port.TargetPort.String())
		}
	}
}

// What is installed can be rendered, twice with the same result.
func TestKustomizations(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed")
	}
	for _, folder := range []string{"kustomize/default", "kustomize/overlays/lab", "kustomize/overlays/production", "config/samples"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			var previous []byte
			for range 2 {
				out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(root, folder)).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if previous != nil && !bytes.Equal(previous, out) {
					t.Error("rendering it twice gives different results")
				}
				previous = out
			}
			if folder == "kustomize/overlays/lab" {
				for _, image := range []string{"image: lab.local/heddle-operator:dev", "value: lab.local/heddle-init:dev", "value: lab.local/envoy:1.40.0"} {
					if !bytes.Contains(previous, []byte(image)) {
						t.Errorf("the lab lacks %q", image)
					}
				}
			}
		})
	}
}
