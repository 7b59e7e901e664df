package envtest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metricsv1alpha1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha1"
	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

const (
	trafficMetrics = root + "/kustomize/components/traffic-metrics/"
	metricsGroup   = "/apis/metrics.smi-spec.io"
)

// metrics is an operator that answers for metrics.smi-spec.io, and a namespace of
// which a Prometheus knows that 200 requests were made to Deployment cart.
type metrics struct {
	*operator
	prometheus *httptest.Server
	namespace  string
}

// The real program answers for the group behind a real aggregator.
func testTrafficMetrics(t *testing.T, c *cluster, binary string) {
	c.must(t, "apply", "-f", trafficMetrics+"rbac.yaml")
	m := &metrics{namespace: c.namespace(t, nil)}
	m.prometheus = httptest.NewServer(m)
	t.Cleanup(m.prometheus.Close)
	m.operator = startReplica(t, c, binary, 2, "--traffic-metrics", "--prometheus-url="+m.prometheus.URL)
	m.route(t)
	c.must(t, "apply", "-f", trafficMetrics+"api_services.yaml")
	t.Cleanup(func() {
		for _, file := range []string{"api_services.yaml", "rbac.yaml"} {
			if _, _, err := c.run(context.Background(), "delete", "-f", trafficMetrics+file); err != nil {
				t.Error(err)
			}
		}
	})
	for _, version := range []string{"v1alpha1", "v1alpha2"} {
		c.must(t, "wait", "--for=condition=Available", "--timeout="+patience.String(), "apiservice/"+version+".metrics.smi-spec.io")
	}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "cart"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}},
	}
	c.create(t, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: "cart", Labels: map[string]string{"tier": "back"}},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
	})
	t.Run("serving", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"is discovered":                m.testDiscovery,
			"is read by SMI's SDK":         m.testSDK,
			"is admitted by RBAC":          m.testRoles,
			"lets nobody in by themselves": m.testDirect,
			"keeps the CA bundle":          m.testBundle,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	t.Run("it uses its rights", m.testRights)
	t.Run("without Prometheus", m.testNoPrometheus)
	m.stop(t)
	t.Run("without the operator", m.testNoOperator)
}

// ServeHTTP answers as Prometheus.
func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	type sample struct {
		Metric map[string]string `json:"metric"`
		Value  []any             `json:"value"`
	}
	query := r.FormValue("query")
	result := []sample{}
	add := func(value string, more ...string) {
		labels := map[string]string{
			"destination_namespace": m.namespace, "destination_kind": "Deployment", "destination_name": "cart", "pod": "cart-5d8f-x2x2x",
			"source_identity": "spiffe://cluster.local/ns/front/sa/web",
		}
		for i := 0; i < len(more); i += 2 {
			labels[more[i]] = more[i+1]
		}
		result = append(result, sample{labels, []any{1, value}})
	}
	switch {
	case strings.Contains(query, "_bucket"):
		add("200", "le", "10")
		add("200", "le", "+Inf")
	case strings.Contains(query, "response_code"):
		add("3")
	default:
		add("200")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

// route has the operator's Service lead to this replica.
func (m *metrics) route(t *testing.T) {
	t.Helper()
	var slice discoveryv1.EndpointSlice
	key := client.ObjectKey{Namespace: heddlev1alpha1.SystemNamespace, Name: heddlev1alpha1.OperatorName + "-0-webhook"}
	if err := m.client.Get(t.Context(), key, &slice); err != nil {
		t.Fatal(err)
	}
	*slice.Ports[0].Port = int32(m.webhook) //nolint:gosec // a port
	if err := m.client.Update(t.Context(), &slice); err != nil {
		t.Fatal(err)
	}
}

// raw asks the API server as a user; the administrator has no name.
func (m *metrics) raw(t *testing.T, user, path string) ([]byte, error) {
	t.Helper()
	config := rest.CopyConfig(m.config)
	config.Impersonate.UserName = user
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	request := kube.Discovery().RESTClient().Get()
	path, query, _ := strings.Cut(path, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			request = request.Param(name, value)
		}
	}
	return request.AbsPath(metricsGroup + path).Do(t.Context()).Raw()
}

// own is a path in the namespace.
func (m *metrics) own(path string) string { return "/v1alpha2/namespaces/" + m.namespace + path }

func (m *metrics) testDiscovery(t *testing.T) {
	for _, version := range []string{"v1alpha1", "v1alpha2"} {
		await(t, version+" is discovered", func(context.Context) error {
			list, err := m.kube.Discovery().ServerResourcesForGroupVersion("metrics.smi-spec.io/" + version)
			if err == nil && len(list.APIResources) < 20 {
				err = fmt.Errorf("%d resources", len(list.APIResources))
			}
			return err
		})
	}
	await(t, "kubectl knows the group", func(ctx context.Context) error {
		out, complaints, err := m.run(ctx, "api-resources", "--api-group=metrics.smi-spec.io", "--cached=false")
		if err == nil && (complaints != "" || !strings.Contains(out, "trafficsplits")) {
			err = errors.New(out + complaints)
		}
		return err
	})
	if out := m.must(t, "get", "deployments,trafficsplits", "-n", m.namespace, "-o", "name"); out != "deployment.apps/cart\n" {
		t.Errorf("deployments are not those of apps: %s", out)
	}
}

func (m *metrics) testSDK(t *testing.T) {
	raw, err := m.raw(t, "", m.own("/deployments?t=5m&labelSelector=tier=back"))
	var list metricsv1alpha2.TrafficMetricsList
	if err := errors.Join(err, json.Unmarshal(raw, &list)); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if len(list.Items) != 1 || list.Items[0].Get("success_count").Value.Value() != 197 || list.Items[0].Get("failure_count").Value.Value() != 3 || list.Items[0].Window.Duration != 5*time.Minute {
		t.Errorf("%s", raw)
	}
	raw, err = m.raw(t, "", "/v1alpha1/namespaces/"+m.namespace+"/deployments/cart/edges")
	var edges metricsv1alpha1.TrafficMetricsList
	if err := errors.Join(err, json.Unmarshal(raw, &edges)); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if len(edges.Items) != 1 || edges.Items[0].Edge.Resource.Namespace != "front" || edges.Items[0].Edge.Direction != metricsv1alpha1.From {
		t.Errorf("%s", raw)
	}
	if out := m.must(t, "get", "--raw", metricsGroup+m.own("/deployments/cart")); !strings.Contains(out, `"p99_response_latency"`) {
		t.Errorf("kubectl get --raw: %s", out)
	}
}

func (m *metrics) testBundle(t *testing.T) {
	const name = "v1alpha1.metrics.smi-spec.io"
	bundle := func(ctx context.Context) (string, error) {
		out, _, err := m.run(ctx, "get", "apiservice", name, "-o", "jsonpath={.spec.caBundle}")
		return out, err
	}
	before, err := bundle(t.Context())
	if err != nil || before == "" {
		t.Fatalf("%q %v", before, err)
	}
	m.must(t, "patch", "apiservice", name, "--type=merge", "-p", `{"spec":{"caBundle":"`+base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\n"))+`"}}`)
	await(t, "the bundle is mended", func(ctx context.Context) error {
		after, err := bundle(ctx)
		if err == nil && after != before {
			err = fmt.Errorf("it is %q", after)
		}
		return err
	})
	m.must(t, "apply", "-f", trafficMetrics+"api_services.yaml")
	if after, err := bundle(t.Context()); err != nil || after != before {
		t.Errorf("applying again changes the bundle: %v", err)
	}
}

// testRights asks for everything once.
func (m *metrics) testRights(t *testing.T) {
	for _, resource := range []string{
		"namespaces", "nodes", "pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs", "trafficsplits",
	} {
		if out, err := m.raw(t, "", "/v1alpha2/"+resource); err != nil {
			t.Errorf("%s: %v %s", resource, err, out)
		}
	}
	var role rbacv1.ClusterRole
	if err := m.client.Get(t.Context(), client.ObjectKey{Name: "heddle-traffic-metrics"}, &role); err != nil {
		t.Fatal(err)
	}
	used := m.inUse(t)
	for r := range rightsOf(role.Rules) {
		if !used[r] {
			t.Errorf("the operator never makes use of its right to %s %s", r.verb, r.resource)
		}
	}
}

func (m *metrics) testNoPrometheus(t *testing.T) {
	m.prometheus.Close()
	out, err := m.raw(t, "", m.own("/deployments"))
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(string(out), "Prometheus, which does not answer") {
		t.Errorf("%v: %s", err, out)
	}
	m.testDiscovery(t)
	if out := m.must(t, "get", "apiservice", "v1alpha2.metrics.smi-spec.io"); !strings.Contains(out, "True") {
		t.Errorf("the group is not available at all: %s", out)
	}
}

func (m *metrics) testNoOperator(t *testing.T) {
	if out, err := m.raw(t, "", m.own("/deployments")); err == nil {
		t.Errorf("somebody answers: %s", out)
	}
	if out, err := m.kube.AppsV1().Deployments(m.namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(out.Items) != 1 {
		t.Errorf("other groups: %v", err)
	}
}
