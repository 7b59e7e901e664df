package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// report judges a mesh at noon.
func (m *mesh) report(t *testing.T) report {
	t.Helper()
	return judge(gather(t.Context(), m.cluster(t), "heddle-system", func() time.Time { return noon }), "v0.1.0")
}

func TestEveryCheckHasItsOwnNameAndARemedy(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range checks("dev") {
		if c.remedy == "" || c.group == "" || c.judge == nil {
			t.Errorf("check %q is incomplete", c.name)
		}
		if seen[c.name] {
			t.Errorf("two checks are called %q", c.name)
		}
		seen[c.name] = true
	}
	if len(seen) < 12 {
		t.Errorf("only %d checks", len(seen))
	}
}

func TestHealthyMeshPassesEveryCheck(t *testing.T) {
	t.Parallel()
	for _, c := range healthy(t).report(t).Checks {
		if c.Status != statusOK {
			t.Errorf("%s: %s %v", c.Name, c.Status, c.Detail)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		harm   func(*testing.T, *mesh)
		check  string
		want   status
		detail string
	}{
		"Kubernetes is too old":     {func(_ *testing.T, m *mesh) { m.version = "v1.28.9" }, "Kubernetes is 1.29 or newer", statusFailed, "v1.28.9"},
		"a node is too old":         {func(_ *testing.T, m *mesh) { m.nodes[0].Status.NodeInfo.KubeletVersion = "v1.28.0" }, "every node runs native sidecars", statusWarning, "node-1"},
		"clocks are minutes apart":  {func(_ *testing.T, m *mesh) { m.serverTime = noon.Add(-2 * time.Minute) }, "clocks agree", statusWarning, "2m0s"},
		"clocks are hours apart":    {func(_ *testing.T, m *mesh) { m.serverTime = noon.Add(3 * time.Hour) }, "clocks agree", statusFailed, "3h0m0s"},
		"a type is missing":         {func(_ *testing.T, m *mesh) { m.crds = m.crds[1:] }, "all resource types are installed and served", statusFailed, "trafficsplits.split.smi-spec.io is missing"},
		"a version is not served":   {func(_ *testing.T, m *mesh) { m.crds[0].Spec.Versions[0].Served = false }, "all resource types are installed and served", statusFailed, "does not serve v1alpha4"},
		"a type is not established": {func(_ *testing.T, m *mesh) { m.crds[0].Status.Conditions = nil }, "all resource types are installed and served", statusFailed, "not established"},
		"the namespace is missing":  {func(_ *testing.T, m *mesh) { m.namespaces = m.namespaces[1:] }, "the namespace exists", statusFailed, "heddle-system"},
		"the operator is missing":   {func(_ *testing.T, m *mesh) { m.operator = nil }, "the operator is ready", statusFailed, "missing"},
		"the operator is scaled away": {func(_ *testing.T, m *mesh) {
			m.operator.Spec.Replicas = new(int32(0))
		}, "the operator is ready", statusFailed, "scaled to 0"},
		"the operator can't pull its image": {func(_ *testing.T, m *mesh) {
			m.operator.Status.ReadyReplicas = 0
			m.pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "heddle-operator", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
		}, "the operator is ready", statusFailed, "0 of 1"},
		"the operator is of another release": {func(_ *testing.T, m *mesh) {
			m.operator.Spec.Template.Spec.Containers[0].Image = "x/heddle-operator:v0.0.9"
		}, "the operator is as new as this program", statusWarning, "v0.0.9"},
		"nobody injects": {func(_ *testing.T, m *mesh) { m.webhook = nil }, "pods are injected by a webhook", statusFailed, "heddle-operator"},
		"the caBundle is empty": {func(_ *testing.T, m *mesh) {
			m.webhook.Webhooks[0].ClientConfig.CABundle = nil
		}, "the API server trusts the webhook", statusFailed, "no caBundle"},
		"the caBundle is another one": {func(t *testing.T, m *mesh) {
			m.webhook.Webhooks[0].ClientConfig.CABundle = root(t, noon.AddDate(1, 0, 0))
		}, "the API server trusts the webhook", statusFailed, "lacks the operator's authority"},
		"nobody validates": {func(_ *testing.T, m *mesh) { m.validator = nil }, "objects are validated by a webhook", statusWarning, "heddle-validator"},
		"the validator is not trusted": {func(t *testing.T, m *mesh) {
			m.validator.Webhooks[0].ClientConfig.CABundle = root(t, noon.AddDate(1, 0, 0))
		}, "objects are validated by a webhook", statusWarning, "heddle-validator/validate.heddle.dev lacks the operator's authority"},
		"UDPRoute is missing": {func(_ *testing.T, m *mesh) {
			m.crds = slices.DeleteFunc(m.crds, func(c *apiextensionsv1.CustomResourceDefinition) bool { return c.Name == "udproutes.specs.smi-spec.io" })
		}, "all resource types are installed and served", statusFailed, "udproutes.specs.smi-spec.io is missing"},
		"no endpoint is ready": {func(_ *testing.T, m *mesh) {
			m.slice.Endpoints[0].Conditions.Ready = new(false)
		}, "the webhook has ready endpoints", statusFailed, "has none"},
		"the mesh configuration is refused": {func(_ *testing.T, m *mesh) {
			m.objects[0] = object("heddle.dev/v1alpha1", "MeshConfig", "", "default", condition("Accepted", "False", "Invalid", "bad"))
		}, "the mesh configuration is valid", statusFailed, "Accepted=False (Invalid) bad"},
		"the authority ends soon": {func(t *testing.T, m *mesh) {
			soon := root(t, noon.AddDate(0, 0, 3))
			m.secret.Data["tls.crt"] = soon
			m.webhook.Webhooks[0].ClientConfig.CABundle = append(m.webhook.Webhooks[0].ClientConfig.CABundle, soon...)
			m.bundles[0].Data[heddlev1alpha1.CAKey] += string(soon)
		}, "the certificate authority is good for another 30 days", statusWarning, "in 3d"},
		"the authority has ended": {func(t *testing.T, m *mesh) {
			m.secret.Data["tls.crt"] = root(t, noon.Add(-time.Minute))
		}, "the certificate authority is good for another 30 days", statusFailed, "expired"},
		"the authority is missing": {func(_ *testing.T, m *mesh) { m.secret = nil }, "the certificate authority is good for another 30 days", statusFailed, "missing"},
		"the authority can't be read": {func(_ *testing.T, m *mesh) {
			m.secret.Data["tls.crt"] = []byte("x")
		}, "the certificate authority is good for another 30 days", statusFailed, "no certificate"},
		"a namespace lacks the bundle": {func(_ *testing.T, m *mesh) { m.bundles = nil }, "every meshed namespace has the trust bundle", statusFailed, "shop has none"},
		"a namespace has an old bundle": {func(t *testing.T, m *mesh) {
			m.bundles[0].Data[heddlev1alpha1.CAKey] = string(root(t, noon.AddDate(1, 0, 0)))
		}, "every meshed namespace has the trust bundle", statusFailed, "without the operator's authority"},
		"a pod is older than the label": {func(_ *testing.T, m *mesh) { m.pods[1].Annotations = nil }, "every pod of a meshed namespace has its sidecar", statusWarning, "shop/cart-1"},
		"a pod is on the host's network": {func(_ *testing.T, m *mesh) {
			m.pods[1].Annotations, m.pods[1].Spec.HostNetwork = nil, true
		}, "no meshed namespace has pods on the host's network", statusWarning, "shop/cart-1"},
		"heddle-init crashes": {func(_ *testing.T, m *mesh) {
			m.pods[1].Status.InitContainerStatuses[0] = corev1.ContainerStatus{Name: heddlev1alpha1.ContainerInit, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
		}, "every sidecar is ready", statusFailed, "heddle-init ended with exit code 3, CrashLoopBackOff"},
		"a sidecar is not connected": {func(_ *testing.T, m *mesh) {
			m.proxies["heddle-operator-0"] = xds.ProxyList{Proxies: []xds.ProxyStatus{proxyStatus("shop", "web-1")}}
		}, "every sidecar is connected to an operator", statusFailed, "shop/cart-1"},
		"a sidecar refused a listener": {func(_ *testing.T, m *mesh) {
			m.proxies["heddle-operator-0"].Proxies[0].Rejected = []xds.Rejection{{Type: "LDS", Name: "inbound", Message: "no"}}
		}, "no sidecar refused what it was sent", statusFailed, "shop/web-1 refused LDS inbound: no"},
		"a sidecar is of another release": {func(_ *testing.T, m *mesh) {
			m.proxies["heddle-operator-0"].Proxies[0].Version = "v0.0.9"
		}, "sidecars are as new as the operator", statusWarning, "v0.0.9"},
		"no namespace is meshed": {func(_ *testing.T, m *mesh) {
			m.namespaces[1].Labels, m.pods = nil, m.pods[:1]
		}, "some namespace is meshed", statusWarning, "no namespace"},
		"a split names a missing backend": {func(_ *testing.T, m *mesh) {
			m.objects[1] = object("split.smi-spec.io/v1alpha4", "TrafficSplit", "shop", "cart", condition("ResolvedRefs", "False", "BackendNotFound", "cart-v9"))
		}, "traffic splits are in force", statusWarning, "shop/cart: ResolvedRefs=False (BackendNotFound) cart-v9"},
		"a split lost against an older one": {func(_ *testing.T, m *mesh) {
			m.objects[1] = object("split.smi-spec.io/v1alpha4", "TrafficSplit", "shop", "cart", condition("Conflicted", "True", "OlderSplit", "other"))
		}, "traffic splits are in force", statusWarning, "Conflicted=True"},
		"a release was rolled back": {func(_ *testing.T, m *mesh) {
			m.objects = append(m.objects, canary("checkout", "Failed", 0, 2, "rolled back: success rate 87.9 %, wanted 99 %"))
		}, "no canary has failed", statusWarning, "shop/checkout: rolled back: success rate 87.9 %"},
		"a canary can't work": {func(_ *testing.T, m *mesh) {
			m.objects = append(m.objects, object("heddle.dev/v1alpha1", "Canary", "shop", "nowhere", condition("ResolvedRefs", "False", "TargetNotFound", "nowhere")))
		}, "no canary has failed", statusWarning, "TargetNotFound"},
		"the operator does not answer": {func(_ *testing.T, m *mesh) { m.proxiesErr = errors.New("refused") }, "every sidecar is connected to an operator", statusUnknown, "refused"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			tc.harm(t, m)
			r := m.report(t)
			for _, c := range r.Checks {
				if c.Name != tc.check {
					continue
				}
				if c.Status != tc.want || !strings.Contains(strings.Join(c.Detail, "\n"), tc.detail) {
					t.Errorf("%s: %s %q, want %s with %q", c.Name, c.Status, c.Detail, tc.want, tc.detail)
				}
				if bad := c.Status == statusFailed || c.Status == statusWarning; bad != (c.Remedy != "") {
					t.Errorf("status %s with remedy %q", c.Status, c.Remedy)
				}
				if r.OK != (tc.want != statusFailed) {
					t.Errorf("ok = %v", r.OK)
				}
				return
			}
			t.Errorf("there is no check %q", tc.check)
		})
	}
}

func TestCaseO39_CheckFailsOnAnExclusionThatCoversTheServices(t *testing.T) {
	t.Parallel()
	exclude := func(m *mesh, prefixes ...any) {
		m.objects[0].Object["spec"] = map[string]any{"egress": map[string]any{"excludePrefixes": prefixes}}
	}
	annotated := func(m *mesh, prefixes string) {
		m.pods[1].Annotations[heddlev1alpha1.AnnotationExcludeOutboundPrefixes] = prefixes
		m.pods[1].Spec.InitContainers = []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}}
	}
	const covers = "10.96.0.0/12 excludes the service range: it covers Service shop/web at 10.96.0.7 and 1 more"
	tests := map[string]struct {
		harm   func(*mesh)
		want   status
		detail string
	}{
		"nothing is excluded":             {func(*mesh) {}, statusOK, ""},
		"what is no Service":              {func(m *mesh) { exclude(m, "192.0.2.0/24") }, statusOK, ""},
		"the API server":                  {func(m *mesh) { exclude(m, "10.96.0.1/32") }, statusOK, ""},
		"the range, for the mesh":         {func(m *mesh) { exclude(m, "192.0.2.0/24", "10.96.0.0/12") }, statusFailed, "MeshConfig default: spec.egress.excludePrefixes: " + covers},
		"the range, for a pod":            {func(m *mesh) { annotated(m, "10.96.0.0/12") }, statusFailed, "pod shop/cart-1: annotation heddle.dev/exclude-outbound-prefixes: " + covers},
		"the range, for a pod outside it": {func(m *mesh) { annotated(m, "10.96.0.0/12"); m.pods[1].Spec.InitContainers = nil }, statusOK, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			tc.harm(m)
			checks := m.report(t).Checks
			i := slices.IndexFunc(checks, func(c checkResult) bool { return c.Name == "no exclusion covers the Services" })
			if got := checks[i]; got.Status != tc.want || !strings.Contains(strings.Join(got.Detail, "\n"), tc.detail) {
				t.Errorf("%s %q", got.Status, got.Detail)
			}
		})
	}
}

func TestConditionsThatSayNothingYetAreNotReported(t *testing.T) {
	t.Parallel()
	stale := condition("Accepted", "False", "Invalid", "of an older generation")
	stale["observedGeneration"] = int64(7)
	o := object("split.smi-spec.io/v1alpha4", "TrafficSplit", "shop", "cart",
		stale, condition("Programmed", "Unknown", "Pending", ""), condition("Reconciling", "True", "Working", ""))
	if got := badConditions(o); len(got) != 0 {
		t.Errorf("reported %q", got)
	}
}

func TestImageVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ image, want string }{
		"is the tag":                      {"heddle-operator:v1.2.3", "v1.2.3"},
		"is not the registry's port":      {"localhost:5000/heddle-operator", "latest"},
		"is the tag behind a port":        {"localhost:5000/a/b:v1", "v1"},
		"is the tag where there's both":   {"r/o:v1@sha256:abc", "v1"},
		"is the digest where no tag is":   {"r/o@sha256:abc", "sha256:abc"},
		"is latest when nothing is named": {"r/o", "latest"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := imageVersion([]corev1.Container{{Name: "heddle-operator", Image: tc.image}}); got != tc.want {
				t.Errorf("version of %s = %s, want %s", tc.image, got, tc.want)
			}
		})
	}
}

func TestCheckGoldenOutput(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*mesh){
		"check-healthy.txt": func(*mesh) {},
		"check-broken.txt": func(m *mesh) {
			m.operator.Status.ReadyReplicas, m.slice.Endpoints, m.proxies = 0, nil, map[string]xds.ProxyList{}
			m.pods[1].Annotations = nil
			m.proxiesErr = errors.New("ask heddle-system/heddle-operator-0 for its proxies: connection refused")
		},
	}
	for file, harm := range tests {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			harm(m)
			var out strings.Builder
			if err := m.report(t).write(&out, palette{}); err != nil {
				t.Fatal(err)
			}
			golden(t, file, out.String())
		})
	}
}

func TestCheckCommandSaysInJSONAndExitCodeWhatItFound(t *testing.T) {
	t.Parallel()
	m := healthy(t)
	m.operator = nil
	out, err := m.heddle(t, "check", "-o", "json")
	if !errors.Is(err, errFound) {
		t.Errorf("error = %v, want %v", err, errFound)
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if r.OK || r.Counts[statusFailed] == 0 {
		t.Errorf("report = %+v", r.Counts)
	}
}

func TestUnreachableAPIStopsTheOtherChecks(t *testing.T) {
	t.Parallel()
	r := judge(&facts{serverVersion: know("", errors.New("connection refused"))}, "dev")
	if r.OK || len(r.Checks) != 1 || r.Checks[0].Remedy == "" {
		t.Errorf("report = %+v", r)
	}
}
