package envtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

var meshed = map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectEnabled}

func appPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "migrate", Image: "migrate"}},
			Containers:     []corev1.Container{{Name: "app", Image: "app"}},
		},
	}
}

// reached awaits that the API server calls the webhook: it learns of the
// operator's endpoint and of the CA bundle by watching.
func (o *operator) reached(t *testing.T) {
	t.Helper()
	namespace := o.namespace(t, meshed)
	await(t, "the webhook is called", func(ctx context.Context) error {
		return o.client.Create(ctx, appPod(namespace, "first"), client.DryRunAll)
	})
}

// A real chain of admission completes the containers that the webhook added
// and then calls it again. The pod's general token is for the app alone.
func testInjection(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, meshed)
	pod := appPod(namespace, "web")
	o.create(t, pod)

	got := map[string]string{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		got[c.Name] = mountedAt(pod, c, "/var/run/secrets/kubernetes.io/serviceaccount")
	}
	want := map[string]string{
		heddlev1alpha1.ContainerInit: "token for heddle", heddlev1alpha1.ContainerProxy: "token for heddle",
		"migrate": "token for the API server", "app": "token for the API server",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what containers find where the API server's token would be (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{heddlev1alpha1.ContainerInit, heddlev1alpha1.ContainerProxy, "migrate"}, names(pod.Spec.InitContainers)); diff != "" {
		t.Errorf("init containers (-want +got):\n%s", diff)
	}
	proxy := pod.Spec.InitContainers[1]
	if proxy.RestartPolicy == nil || *proxy.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Error("the proxy is no native sidecar")
	}
	if proxy.Lifecycle == nil || proxy.Lifecycle.PreStop == nil || proxy.Lifecycle.PreStop.Sleep == nil {
		t.Error("the proxy does not wait before it stops, though this API server knows how")
	}
	if got := pod.Annotations[heddlev1alpha1.AnnotationInjected]; got != "true" {
		t.Errorf("annotation %q", got)
	}
	o.roots(t, namespace)
}

func names(containers []corev1.Container) []string {
	var out []string
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return out
}

// mountedAt says what token a container finds at the path.
func mountedAt(pod *corev1.Pod, c corev1.Container, path string) string {
	i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path })
	if i < 0 {
		return "nothing"
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name != c.VolumeMounts[i].Name || v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			switch token := source.ServiceAccountToken; {
			case token == nil:
			case token.Audience == "":
				return "token for the API server"
			default:
				return "token for " + token.Audience
			}
		}
	}
	return "no token"
}

// A dry run answers as a real one would and leaves nothing behind: the
// webhook's side effect, the roots in the pod's namespace, waits for a pod that
// is to stay.
func testDryRun(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, nil)
	pod := func() *corev1.Pod {
		p := appPod(namespace, "web")
		p.Labels = meshed
		return p
	}
	first, second := pod(), pod()
	for _, tried := range []*corev1.Pod{first, second} {
		if err := o.client.Create(t.Context(), tried, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(first.Spec, second.Spec, generated); diff != "" {
		t.Errorf("two dry runs differ:\n%s", diff)
	}
	if config, err := o.configMap(t.Context(), namespace); config != nil || err != nil {
		t.Errorf("a dry run left ConfigMap %v, %v", config, err)
	}
	stays := pod()
	o.create(t, stays)
	if diff := cmp.Diff(first.Spec, stays.Spec, generated); diff != "" {
		t.Errorf("the pod differs from that of the dry run:\n%s", diff)
	}
	if config, err := o.configMap(t.Context(), namespace); config == nil || err != nil {
		t.Errorf("a pod was admitted before its namespace had the roots: %v", err)
	}
}

// generated leaves out what the API server names anew for each pod.
var generated = cmp.Options{
	cmp.Transformer("name", func(v corev1.Volume) string {
		v.Name = strings.TrimRight(v.Name, "bcdfghjklmnpqrstvwxz2456789")
		return fmt.Sprint(v)
	}),
	cmp.Transformer("mount", func(m corev1.VolumeMount) string {
		return strings.TrimRight(m.Name, "bcdfghjklmnpqrstvwxz2456789") + " at " + m.MountPath
	}),
	cmpopts.EquateEmpty(),
}

func testHostNetwork(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, meshed)
	var said warnings
	asking := o.as(t, func(config *rest.Config) { config.WarningHandler = &said })
	pod := appPod(namespace, "agent")
	pod.Spec.HostNetwork = true
	if err := asking.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"migrate"}, names(pod.Spec.InitContainers)); diff != "" || pod.Annotations[heddlev1alpha1.AnnotationInjected] != "" {
		t.Errorf("the pod was changed: annotations %v, init containers (-want +got):\n%s", pod.Annotations, diff)
	}
	want := "pod " + namespace + "/agent stays outside the mesh: it uses the host's network"
	if !slices.ContainsFunc(said.all(), func(text string) bool { return strings.HasPrefix(text, want) }) {
		t.Errorf("warnings %q, want one that begins with %q", said.all(), want)
	}

	silent := appPod(namespace, "silent")
	silent.Spec.HostNetwork, silent.Labels = true, map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectDisabled}
	before := len(said.all())
	if err := asking.Create(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	if after := said.all(); len(after) != before {
		t.Errorf("the label that the warning names doesn't silence it: %q", after[before:])
	}
}

func testRefusedPod(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, meshed)
	proxyUser := int64(heddlev1alpha1.ProxyUID)
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"a label that is neither word": {func(p *corev1.Pod) { p.Labels = map[string]string{heddlev1alpha1.LabelInject: "true"} }, `label heddle.dev/inject is "true"`},
		"the proxy's user": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &proxyUser}
		}, "container app runs as user 1337"},
		"a bad annotation": {func(p *corev1.Pod) { p.Annotations = map[string]string{"heddle.dev/exclude-inbound-ports": "http"} }, "annotation heddle.dev/exclude-inbound-ports"},
	} {
		pod := appPod(namespace, "web")
		tc.change(pod)
		err := o.client.Create(t.Context(), pod)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "pod "+namespace+"/web can't join the mesh") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (o *operator) definitionsTrust(ctx context.Context, roots string) error {
	var list apiextensionsv1.CustomResourceDefinitionList
	if err := o.client.List(ctx, &list); err != nil {
		return err
	}
	converted := 0
	for i := range list.Items {
		conversion := list.Items[i].Spec.Conversion
		if conversion == nil || conversion.Webhook == nil {
			continue
		}
		if converted++; string(conversion.Webhook.ClientConfig.CABundle) != roots {
			return fmt.Errorf("%s has not", list.Items[i].Name)
		}
	}
	if converted == 0 {
		return errors.New("no definition is converted")
	}
	return nil
}

// The bundle isn't in the manifest, so applying that again must leave it.
func testCABundle(t *testing.T, o *operator) {
	o.reached(t)
	namespace := o.namespace(t, meshed)
	roots := o.roots(t, namespace)
	await(t, "every definition that the operator converts has the bundle", func(ctx context.Context) error {
		return o.definitionsTrust(ctx, roots)
	})
	before := o.versions(t, installation)
	o.must(t, "apply", "--server-side", "-k", installation)
	if diff := cmp.Diff(before, o.versions(t, installation)); diff != "" {
		t.Errorf("applying again while the operator runs changed objects (-before +after):\n%s", diff)
	}
	var config admissionregistrationv1.MutatingWebhookConfiguration
	if err := o.client.Get(t.Context(), client.ObjectKey{Name: "heddle-injector"}, &config); err != nil {
		t.Fatal(err)
	}
	for _, webhook := range config.Webhooks {
		if string(webhook.ClientConfig.CABundle) != roots {
			t.Errorf("CA bundle of %s is not the roots that pods have", webhook.Name)
		}
		// The handler writes the roots, but not for a dry run.
		if *webhook.SideEffects != admissionregistrationv1.SideEffectClassNoneOnDryRun {
			t.Errorf("side effects of %s: %s", webhook.Name, *webhook.SideEffects)
		}
	}
}

// Pods of a namespace trust what its ConfigMap says, so that is kept.
func testRoots(t *testing.T, o *operator) {
	namespace := o.namespace(t, meshed)
	want := o.roots(t, namespace)
	config, err := o.configMap(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	config.Data[heddlev1alpha1.CAKey] = "another's"
	if err := o.client.Update(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if got := o.roots(t, namespace); got != want {
		t.Errorf("roots after they were changed: %q", got)
	}
	if err := o.client.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if got := o.roots(t, namespace); got != want {
		t.Errorf("roots after they were deleted: %q", got)
	}
}

// Without an operator a pod that must be meshed is refused, all others start.
func testFailsClosed(t *testing.T, c *cluster) {
	err := c.client.Create(t.Context(), appPod(c.namespace(t, meshed), "web"), client.DryRunAll)
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), `failed calling webhook "namespace.inject.heddle.dev"`) {
		t.Errorf("a pod of a meshed namespace: %v", err)
	}
	if err := c.client.Create(t.Context(), appPod(c.namespace(t, nil), "web"), client.DryRunAll); err != nil {
		t.Errorf("a pod of another namespace: %v", err)
	}
}
