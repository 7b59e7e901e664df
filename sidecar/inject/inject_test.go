package inject

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func config() Config {
	return Config{InitImage: "example.test/heddle-init:1", ProxyImage: "example.test/envoy:1", SleepAction: true}
}

func meshed() Namespace {
	return Namespace{Name: "shop", Labels: map[string]string{heddlev1alpha1.LabelInject: heddlev1alpha1.InjectEnabled}}
}

// app returns a pod that can be injected, changed by change.
func app(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name = "web"
	pod.Labels, pod.Annotations = map[string]string{}, map[string]string{}
	pod.Spec.Containers = []corev1.Container{{Name: "web", Image: "example.test/web:1"}}
	if change != nil {
		change(pod)
	}
	return pod
}

// TestInjectGolden injects testdata/<case>/in.yaml; out.yaml holds the
// warnings and the pod.
func TestInjectGolden(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, in := range inputs {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{}
			if err := yaml.UnmarshalStrict(raw, pod); err != nil {
				t.Fatal(err)
			}
			before := pod.DeepCopy()
			out, warnings, err := Inject(pod, meshed(), config())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Errorf("Inject changed its input:\n%s", diff)
			}
			text, err := yaml.Marshal(map[string]any{"warnings": warnings, "pod": out})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "out.yaml")
			if *update {
				if err := os.WriteFile(file, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v; run with -update to make it", err)
			}
			if diff := cmp.Diff(string(want), string(text)); diff != "" {
				t.Errorf("%s differs (-want +got); -update rewrites it:\n%s", file, diff)
			}
		})
	}
}

func TestInjectDecides(t *testing.T) {
	t.Parallel()
	label := func(value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels[heddlev1alpha1.LabelInject] = value }
	}
	namespace := func(value string) Namespace {
		return Namespace{Name: "shop", Labels: map[string]string{heddlev1alpha1.LabelInject: value}}
	}
	tests := map[string]struct {
		pod         *corev1.Pod
		ns          Namespace
		wantSidecar bool
		wantWarning string
	}{
		"a namespace that says nothing":            {pod: app(nil), ns: Namespace{Name: "shop"}},
		"a namespace that opts in":                 {pod: app(nil), ns: namespace("enabled"), wantSidecar: true},
		"a namespace that opts out":                {pod: app(nil), ns: namespace("disabled")},
		"a namespace with an unknown word":         {pod: app(nil), ns: namespace("yes")},
		"a pod opts in by itself":                  {pod: app(label("enabled")), ns: Namespace{Name: "shop"}, wantSidecar: true},
		"a pod opts in against its namespace":      {pod: app(label("enabled")), ns: namespace("disabled"), wantSidecar: true},
		"a pod opts out of its namespace":          {pod: app(label("disabled")), ns: namespace("enabled")},
		"a pod opts out with the reserved user":    {pod: app(func(p *corev1.Pod) { label("disabled")(p); runAs(p, 1337) }), ns: namespace("enabled")},
		"the annotation alone is no sidecar":       {pod: app(func(p *corev1.Pod) { p.Annotations[heddlev1alpha1.AnnotationInjected] = "true" }), ns: namespace("enabled"), wantSidecar: true},
		"the host's network is left alone":         {pod: app(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), ns: namespace("enabled"), wantWarning: "pod shop/web stays outside the mesh: it uses the host's network"},
		"the host's network, with the pod's label": {pod: app(func(p *corev1.Pod) { p.Spec.HostNetwork = true; label("enabled")(p) }), ns: namespace("enabled"), wantWarning: "remove hostNetwork"},
		"Windows is left alone":                    {pod: app(func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }), ns: namespace("enabled"), wantWarning: "Linux only"},
		"a generated name is told":                 {pod: app(func(p *corev1.Pod) { p.Name, p.GenerateName, p.Spec.HostNetwork = "", "web-", true }), ns: namespace("enabled"), wantWarning: "pod shop/web-* stays"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, warnings, err := Inject(tt.pod, tt.ns, config())
			if err != nil {
				t.Fatal(err)
			}
			if got := len(out.Spec.InitContainers) == 2; got != tt.wantSidecar {
				t.Errorf("sidecar %v, want %v", got, tt.wantSidecar)
			}
			if !tt.wantSidecar && out != tt.pod {
				t.Error("a pod that stays outside isn't returned as it is")
			}
			if got := strings.Join(warnings, "\n"); !strings.Contains(got, tt.wantWarning) || (tt.wantWarning == "") != (got == "") {
				t.Errorf("warnings %q, want %q", got, tt.wantWarning)
			}
		})
	}
}

func runAs(p *corev1.Pod, uid int64) {
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &uid}
}

func TestInjectRefuses(t *testing.T) {
	t.Parallel()
	annotate := func(name, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations[name] = value }
	}
	tests := map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"a container as the proxy's user": {func(p *corev1.Pod) { runAs(p, 1337) }, "container web runs as user 1337"},
		"a pod as the proxy's user":       {func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(1337))} }, "the pod runs as user 1337"},
		"an init container as the proxy's user": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", SecurityContext: &corev1.SecurityContext{RunAsUser: ptr(int64(1337))}}}
		}, "container i runs as user 1337"},
		"an app container named like ours": {func(p *corev1.Pod) { p.Spec.Containers[0].Name = heddlev1alpha1.ContainerProxy }, "heddle-proxy is reserved"},
		"half a sidecar":                   {func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}} }, "are reserved for the mesh"},
		"two of ours": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: heddlev1alpha1.ContainerInit}, {Name: heddlev1alpha1.ContainerInit}}
		}, "are reserved for the mesh"},
		"the sidecar's port":                   {func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 15006}} }, "port 15006, which the sidecar uses"},
		"an unknown word on the pod":           {func(p *corev1.Pod) { p.Labels[heddlev1alpha1.LabelInject] = "yes" }, `it must be "enabled" or "disabled"`},
		"a port that is a word":                {annotate(heddlev1alpha1.AnnotationExcludeInboundPorts, "http"), `heddle.dev/exclude-inbound-ports: "http" is not a port`},
		"an empty list":                        {annotate(heddlev1alpha1.AnnotationExcludeInboundPorts, ""), `"" is not a port`},
		"port 0":                               {annotate(heddlev1alpha1.AnnotationExcludeOutboundPorts, "0"), `"0" is not a port`},
		"port 65536":                           {annotate(heddlev1alpha1.AnnotationExcludeOutboundPorts, "65536"), "is not a port"},
		"a signed port":                        {annotate(heddlev1alpha1.AnnotationExcludeOutboundPorts, "+80"), "is not a port"},
		"a line break among ports":             {annotate(heddlev1alpha1.AnnotationExcludeOutboundPorts, "80\n- name: x"), "is not a port"},
		"an exclusion of the inbound listener": {annotate(heddlev1alpha1.AnnotationExcludeInboundPorts, "15006"), "belongs to the sidecar"},
		"too many ports":                       {annotate(heddlev1alpha1.AnnotationExcludeOutboundPorts, strings.Repeat("80,", 96)+"80"), "97 entries"},
		"a prefix that isn't one":              {annotate(heddlev1alpha1.AnnotationExcludeOutboundPrefixes, "10.0.0.0/33"), "neither an address nor a prefix"},
		"an IPv6 prefix":                       {annotate(heddlev1alpha1.AnnotationExcludeOutboundPrefixes, "fd00::/8"), "IPv6 isn't supported yet"},
		"a size that isn't one":                {annotate(AnnotationProxyMemoryLimit, "lots"), `"lots" is not a quantity`},
		"a negative size":                      {annotate(AnnotationProxyCPURequest, "-1"), "is not a quantity"},
		"an unknown log level":                 {annotate(AnnotationProxyLogLevel, "info --config-yaml x"), "is not one of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Inject(app(tt.change), meshed(), config())
			refusal := (*RefusedError)(nil)
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "pod shop/web") {
				t.Errorf("error %v, want a refusal that names the pod and says %q", err, tt.want)
			}
		})
	}
}

func TestInjectNeedsAConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no init image":     {ProxyImage: "p"},
		"no proxy image":    {InitImage: "i"},
		"a bad xDS address": {InitImage: "i", ProxyImage: "p", XDSAddress: "operator"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Inject(app(nil), meshed(), cfg)
			if refusal := (*RefusedError)(nil); err == nil || errors.As(err, &refusal) {
				t.Errorf("error %v, want one that isn't the pod's fault", err)
			}
		})
	}
}

// TestInjectSecondPass covers another webhook that adds a container with a
// probe between two passes: its probe is answered, nothing is doubled.
func TestInjectSecondPass(t *testing.T) {
	t.Parallel()
	first, _, err := Inject(app(func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}}
	}), meshed(), config())
	if err != nil {
		t.Fatal(err)
	}
	first.Spec.InitContainers[1].Image = "mirror.test/envoy:1" // a registry mirror's webhook
	first.Spec.InitContainers = append([]corev1.Container{{Name: "other"}}, first.Spec.InitContainers...)
	first.Spec.Containers = append(first.Spec.Containers, corev1.Container{Name: "late", ReadinessProbe: &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(9000)}},
	}})
	second, _, err := Inject(first, meshed(), config())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range second.Spec.InitContainers {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"heddle-init", "heddle-proxy", "other"}, names); diff != "" {
		t.Errorf("init containers (-want +got):\n%s", diff)
	}
	if got := second.Spec.InitContainers[1].Image; got != "mirror.test/envoy:1" {
		t.Errorf("the proxy's image went back to %s", got)
	}
	env := second.Spec.InitContainers[0].Env
	if got := env[len(env)-1].Value; !strings.Contains(got, `"tcpProbePorts":[8080,9000]`) {
		t.Errorf("settings don't have both ports: %s", got)
	}
}
