package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/dynamic"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noon is when all tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// mesh is a cluster for tests: a healthy one, changed by the test.
type mesh struct {
	version    string
	serverTime time.Time
	nodes      []corev1.Node
	crds       []*apiextensionsv1.CustomResourceDefinition
	namespaces []corev1.Namespace
	pods       []corev1.Pod
	operator   *appsv1.Deployment
	webhook    *admissionv1.MutatingWebhookConfiguration
	validator  *admissionv1.ValidatingWebhookConfiguration
	services   []corev1.Service
	slice      *discoveryv1.EndpointSlice
	secret     *corev1.Secret
	bundles    []corev1.ConfigMap
	objects    []*unstructured.Unstructured
	proxies    map[string]xds.ProxyList
	proxiesErr error
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}
}

// root makes a certificate authority that ends at the given time.
func root(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: noon.Add(-time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func injectedPod(namespace, name string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: named(namespace, name)}
	p.Annotations = map[string]string{heddlev1alpha1.AnnotationInjected: "true"}
	p.Status.Phase = corev1.PodRunning
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: heddlev1alpha1.ContainerInit, Ready: true},
		{Name: heddlev1alpha1.ContainerProxy, Ready: true},
	}
	return p
}

func clusterIP(namespace, name, ip string) corev1.Service {
	return corev1.Service{ObjectMeta: named(namespace, name), Spec: corev1.ServiceSpec{ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}}}
}

func healthy(t *testing.T) *mesh {
	t.Helper()
	bundle := root(t, noon.AddDate(10, 0, 0))
	labels := map[string]string{"app": "heddle-operator"}
	m := &mesh{version: "v1.34.4", serverTime: noon, proxies: map[string]xds.ProxyList{}}
	m.nodes = []corev1.Node{{ObjectMeta: named("", "node-1"), Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.4"}}}}
	for _, n := range neededTypes {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: named("", n.crd)}
		crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: n.version, Served: true, Storage: true}}
		crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
		m.crds = append(m.crds, crd)
	}
	m.namespaces = []corev1.Namespace{
		{ObjectMeta: named("", "heddle-system")},
		{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectEnabled}}},
		{ObjectMeta: named("", "other")},
	}
	m.operator = &appsv1.Deployment{ObjectMeta: named("heddle-system", "heddle-operator")}
	m.operator.Spec.Replicas = new(int32(1))
	m.operator.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	m.operator.Spec.Template.Spec.Containers = []corev1.Container{{Name: "heddle-operator", Image: "registry.example.com:5000/heddle-operator:v0.1.0"}}
	m.operator.Status.ReadyReplicas = 1
	op := corev1.Pod{ObjectMeta: named("heddle-system", "heddle-operator-0"), Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	op.Labels = labels
	m.pods = []corev1.Pod{op, injectedPod("shop", "cart-1"), injectedPod("shop", "web-1")}
	m.webhook = &admissionv1.MutatingWebhookConfiguration{ObjectMeta: named("", "heddle-injector")}
	m.webhook.Webhooks = []admissionv1.MutatingWebhook{{
		Name: "namespace.inject.heddle.dev",
		ClientConfig: admissionv1.WebhookClientConfig{
			Service:  &admissionv1.ServiceReference{Namespace: "heddle-system", Name: "heddle-operator"},
			CABundle: bundle,
		},
	}}
	m.validator = &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: named("", "heddle-validator")}
	m.validator.Webhooks = []admissionv1.ValidatingWebhook{{Name: "validate.heddle.dev", ClientConfig: m.webhook.Webhooks[0].ClientConfig}}
	m.services = []corev1.Service{clusterIP("default", "kubernetes", "10.96.0.1"), clusterIP("shop", "web", "10.96.0.7"), clusterIP("shop", "cart", "10.96.0.8")}
	m.slice = &discoveryv1.EndpointSlice{ObjectMeta: named("heddle-system", "heddle-operator-abc"), Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}}
	m.slice.Labels = map[string]string{discoveryv1.LabelServiceName: "heddle-operator"}
	m.secret = &corev1.Secret{ObjectMeta: named("heddle-system", caSecretName), Data: map[string][]byte{"tls.crt": bundle}}
	for _, ns := range []string{"shop"} {
		m.bundles = append(m.bundles, corev1.ConfigMap{ObjectMeta: named(ns, heddlev1alpha1.CAConfigMap), Data: map[string]string{heddlev1alpha1.CAKey: string(bundle)}})
	}
	m.objects = []*unstructured.Unstructured{
		object("heddle.dev/v1alpha1", "MeshConfig", "", "default", condition("Accepted", "True", "Accepted", "")),
		object("split.smi-spec.io/v1alpha4", "TrafficSplit", "shop", "cart", condition("Accepted", "True", "Accepted", "")),
	}
	m.proxies["heddle-operator-0"] = xds.ProxyList{Operator: "heddle-operator-0", Proxies: []xds.ProxyStatus{
		proxyStatus("shop", "web-1"), proxyStatus("shop", "cart-1"),
	}}
	return m
}

func proxyStatus(namespace, pod string) xds.ProxyStatus {
	return xds.ProxyStatus{
		Namespace: namespace, Pod: pod, Version: "v0.1.0", Synced: true,
		ConnectedAt: noon.Add(-90 * time.Minute), CertificateExpires: noon.Add(20 * time.Hour),
		Types: []xds.TypeStatus{
			{Type: "CDS", Sent: 2, Acked: 2},
			{Type: "EDS", Sent: 2, Acked: 2},
			{Type: "LDS", Sent: 3, Acked: 3},
			{Type: "RDS", Sent: 1, Acked: 1},
			{Type: "VHDS", Sent: 5, Acked: 5},
			{Type: "SDS", Sent: 2, Acked: 2},
		},
	}
}

func condition(kind, status, reason, message string) map[string]any {
	return map[string]any{"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": int64(1), "lastTransitionTime": noon.Format(time.RFC3339)}
}

func object(apiVersion, kind, namespace, name string, conds ...map[string]any) *unstructured.Unstructured {
	list := make([]any, len(conds))
	for i, c := range conds {
		list[i] = c
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": name, "generation": int64(1)},
		"status":   map[string]any{"conditions": list},
	}}
	o.SetNamespace(namespace)
	return o
}

func canary(name, phase string, weight, failures int64, message string) *unstructured.Unstructured {
	o := object("heddle.dev/v1alpha1", "Canary", "shop", name)
	o.Object["status"] = map[string]any{
		"phase": phase, "weight": weight, "failures": failures, "message": message,
		"enteredAt": noon.Add(-45 * time.Second).Format(time.RFC3339),
	}
	return o
}

// cluster makes clients that know the mesh's objects.
func (m *mesh) cluster(t *testing.T) *cluster {
	t.Helper()
	var objects []runtime.Object
	for i := range m.nodes {
		objects = append(objects, &m.nodes[i])
	}
	for i := range m.namespaces {
		objects = append(objects, &m.namespaces[i])
	}
	for i := range m.pods {
		objects = append(objects, &m.pods[i])
	}
	for i := range m.bundles {
		objects = append(objects, &m.bundles[i])
	}
	if m.operator != nil {
		objects = append(objects, m.operator)
	}
	if m.webhook != nil {
		objects = append(objects, m.webhook)
	}
	if m.validator != nil {
		objects = append(objects, m.validator)
	}
	for i := range m.services {
		objects = append(objects, &m.services[i])
	}
	if m.slice != nil {
		objects = append(objects, m.slice)
	}
	if m.secret != nil {
		objects = append(objects, m.secret)
	}
	kube := fake.NewClientset(objects...)
	kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &apiversion.Info{GitVersion: m.version}
	return &cluster{
		kube: kube, objects: m.dynamic(t), namespace: "shop",
		serverTime: func(context.Context) (time.Time, error) { return m.serverTime, nil },
		proxies: func(_ context.Context, _, pod string) (xds.ProxyList, error) {
			return m.proxies[pod], m.proxiesErr
		},
	}
}

func (m *mesh) dynamic(t *testing.T) dynamic.Interface {
	t.Helper()
	var objects []runtime.Object
	for _, crd := range m.crds {
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(crd)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: raw}
		u.SetAPIVersion("apiextensions.k8s.io/v1")
		u.SetKind("CustomResourceDefinition")
		objects = append(objects, u)
	}
	for _, o := range m.objects {
		objects = append(objects, o)
	}
	return fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		crdResource: "CustomResourceDefinitionList", meshConfigResource: "MeshConfigList", canaryResource: "CanaryList",
		splitResource: "TrafficSplitList", targetResource: "TrafficTargetList",
	}, objects...)
}

// heddle runs the program against the mesh and returns what it printed.
func (m *mesh) heddle(t *testing.T, args ...string) (string, error) {
	t.Helper()
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	c := m.cluster(t)
	cmd := newRoot("heddle", streams, func(f *genericclioptions.ConfigFlags) (*cluster, error) {
		if *f.Namespace != "" {
			c.namespace = *f.Namespace
		}
		return c, nil
	})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// golden compares with a file under testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s (-want +got), rewrite with -update:\n%s", path, cmp.Diff(string(want), got))
	}
}
