package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/ca"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// Objects that are read without their Go types, so that an older or newer
// cluster can be looked at too.
var (
	crdResource          = apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	meshConfigResource   = schema.GroupVersionResource{Group: "heddle.dev", Version: "v1alpha1", Resource: "meshconfigs"}
	canaryResource       = schema.GroupVersionResource{Group: "heddle.dev", Version: "v1alpha1", Resource: "canaries"}
	splitResource        = schema.GroupVersionResource{Group: "split.smi-spec.io", Version: "v1alpha4", Resource: "trafficsplits"}
	targetResource       = schema.GroupVersionResource{Group: "access.smi-spec.io", Version: "v1alpha3", Resource: "traffictargets"}
	conditionedResources = []schema.GroupVersionResource{splitResource, targetResource, canaryResource}
)

// known is a fact that may be missing: err says why it is.
type known[T any] struct {
	value T
	err   error
}

func know[T any](value T, err error) known[T] { return known[T]{value: value, err: err} }

// facts is everything the checks look at, read once. Nothing in it is changed
// after gather returns.
type facts struct {
	now    time.Time
	system string

	serverVersion known[string]
	serverTime    known[time.Time]
	nodes         known[[]corev1.Node]
	crds          known[map[string]*apiextensionsv1.CustomResourceDefinition]

	systemNamespace known[*corev1.Namespace]
	operator        known[*appsv1.Deployment]
	operatorPods    known[[]corev1.Pod]
	webhooks        known[[]admissionv1.MutatingWebhookConfiguration]
	validator       known[*admissionv1.ValidatingWebhookConfiguration]
	endpoints       known[[]discoveryv1.EndpointSlice]

	caSecret   known[*corev1.Secret]
	bundles    known[map[string]*corev1.ConfigMap]
	meshConfig known[*unstructured.Unstructured]

	namespaces known[[]corev1.Namespace]
	pods       known[[]corev1.Pod]
	services   known[[]corev1.Service]
	proxies    known[[]xds.ProxyList]
	// conditioned holds the objects of each resource that carries conditions.
	conditioned map[schema.GroupVersionResource]known[[]unstructured.Unstructured]
}

// gather asks for all facts at once. It never fails: what can't be read is a
// fact that is not known.
func gather(ctx context.Context, c *cluster, system string, clock func() time.Time) *facts {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	f := &facts{system: system, conditioned: map[schema.GroupVersionResource]known[[]unstructured.Unstructured]{}}
	info, err := c.kube.Discovery().ServerVersion()
	if err != nil {
		// Without the API there is nothing else to ask, and each question
		// would wait for its own deadline.
		f.now, f.serverVersion = clock(), know("", err)
		return f
	}
	f.serverVersion = know(info.GitVersion, nil)
	f.serverTime = know(c.serverTime(ctx))
	f.now = clock()

	var wg sync.WaitGroup
	k := c.kube
	opts := metav1.ListOptions{}
	wg.Go(func() {
		f.nodes = items(ctx, k.CoreV1().Nodes().List, func(l *corev1.NodeList) []corev1.Node { return l.Items })
	})
	wg.Go(func() { f.crds = gatherCRDs(ctx, c) })
	wg.Go(func() { f.systemNamespace = know(k.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})) })
	wg.Go(func() {
		f.operator = know(k.AppsV1().Deployments(system).Get(ctx, heddlev1alpha1.OperatorName, metav1.GetOptions{}))
		f.operatorPods = operatorPods(ctx, k, f.operator)
		f.proxies = gatherProxies(ctx, c, f.operatorPods)
	})
	wg.Go(func() {
		list, err := k.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, opts)
		f.webhooks = know(ourWebhooks(list, system), err)
	})
	wg.Go(func() {
		f.validator = know(k.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, ca.ValidatorName, metav1.GetOptions{}))
	})
	wg.Go(func() {
		selected := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + heddlev1alpha1.OperatorName}
		list, err := k.DiscoveryV1().EndpointSlices(system).List(ctx, selected)
		f.endpoints = known[[]discoveryv1.EndpointSlice]{err: err}
		if err == nil {
			f.endpoints.value = list.Items
		}
	})
	wg.Go(func() { f.caSecret = know(k.CoreV1().Secrets(system).Get(ctx, caSecretName, metav1.GetOptions{})) })
	wg.Go(func() {
		selected := metav1.ListOptions{FieldSelector: "metadata.name=" + heddlev1alpha1.CAConfigMap}
		list, err := k.CoreV1().ConfigMaps("").List(ctx, selected)
		f.bundles = known[map[string]*corev1.ConfigMap]{err: err, value: map[string]*corev1.ConfigMap{}}
		if err == nil {
			for i := range list.Items {
				// Fake clients ignore field selectors, so look again.
				if m := &list.Items[i]; m.Name == heddlev1alpha1.CAConfigMap {
					f.bundles.value[m.Namespace] = m
				}
			}
		}
	})
	wg.Go(func() {
		f.meshConfig = know(c.objects.Resource(meshConfigResource).Get(ctx, heddlev1alpha1.MeshConfigName, metav1.GetOptions{}))
	})
	wg.Go(func() {
		f.namespaces = items(ctx, k.CoreV1().Namespaces().List, func(l *corev1.NamespaceList) []corev1.Namespace { return l.Items })
	})
	wg.Go(func() {
		f.pods = items(ctx, k.CoreV1().Pods("").List, func(l *corev1.PodList) []corev1.Pod { return l.Items })
	})
	wg.Go(func() {
		f.services = items(ctx, k.CoreV1().Services("").List, func(l *corev1.ServiceList) []corev1.Service { return l.Items })
	})
	found := make([]known[[]unstructured.Unstructured], len(conditionedResources))
	for i, r := range conditionedResources {
		wg.Go(func() {
			found[i] = items(ctx, c.objects.Resource(r).List, func(l *unstructured.UnstructuredList) []unstructured.Unstructured { return l.Items })
		})
	}
	wg.Wait()
	for i, r := range conditionedResources {
		f.conditioned[r] = found[i]
	}
	return f
}

func items[L, T any](ctx context.Context, list func(context.Context, metav1.ListOptions) (L, error), of func(L) []T) known[[]T] {
	l, err := list(ctx, metav1.ListOptions{})
	if err != nil {
		return known[[]T]{err: err}
	}
	return know(of(l), nil)
}

func gatherCRDs(ctx context.Context, c *cluster) known[map[string]*apiextensionsv1.CustomResourceDefinition] {
	out := map[string]*apiextensionsv1.CustomResourceDefinition{}
	list, err := c.objects.Resource(crdResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return know(out, err)
	}
	for _, item := range list.Items {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, crd); err != nil {
			return know(out, fmt.Errorf("read %s: %w", item.GetName(), err))
		}
		out[crd.Name] = crd
	}
	return know(out, nil)
}

// operatorPods returns the pods that the operator's Deployment selects.
func operatorPods(ctx context.Context, kube kubernetes.Interface, d known[*appsv1.Deployment]) known[[]corev1.Pod] {
	if d.err != nil {
		return known[[]corev1.Pod]{err: d.err}
	}
	selector, err := metav1.LabelSelectorAsSelector(d.value.Spec.Selector)
	if err != nil {
		return known[[]corev1.Pod]{err: fmt.Errorf("read the operator's selector: %w", err)}
	}
	list, err := kube.CoreV1().Pods(d.value.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return known[[]corev1.Pod]{err: err}
	}
	return know(list.Items, nil)
}

// gatherProxies asks each running operator; one that doesn't answer makes the
// whole fact unknown, because its proxies would seem to be missing.
func gatherProxies(ctx context.Context, c *cluster, pods known[[]corev1.Pod]) known[[]xds.ProxyList] {
	if pods.err != nil {
		return known[[]xds.ProxyList]{err: pods.err}
	}
	out := known[[]xds.ProxyList]{}
	for i := range pods.value {
		p := &pods.value[i]
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			continue
		}
		list, err := c.proxies(ctx, p.Namespace, p.Name)
		if err != nil {
			out.err = err
			continue
		}
		out.value = append(out.value, list)
	}
	if len(out.value) == 0 && out.err == nil {
		out.err = fmt.Errorf("no operator pod is running")
	}
	return out
}

// ourWebhooks keeps the configurations that call the operator's Service.
func ourWebhooks(list *admissionv1.MutatingWebhookConfigurationList, system string) []admissionv1.MutatingWebhookConfiguration {
	if list == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list.Items), func(c admissionv1.MutatingWebhookConfiguration) bool {
		return !slices.ContainsFunc(c.Webhooks, func(w admissionv1.MutatingWebhook) bool {
			s := w.ClientConfig.Service
			return s != nil && s.Namespace == system && s.Name == heddlev1alpha1.OperatorName
		})
	})
}
