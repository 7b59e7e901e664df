package inject

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func anyProbe(t *rapid.T) *corev1.Probe {
	kinds := []string{"none", "tcp", "named", "remote", "http", "ours", "exec", "grpc"}
	port := rapid.Int32Range(-1, 70000).Draw(t, "port")
	switch rapid.SampledFrom(kinds).Draw(t, "probe") {
	case "tcp":
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}}}
	case "named":
		name := rapid.SampledFrom([]string{"web", "sql", "80", ""}).Draw(t, "name")
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(name)}}}
	case "remote":
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "192.0.2.1", Port: intstr.FromInt32(port)}}}
	case "http":
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(port)}}}
	case "ours":
		return &corev1.Probe{ProbeHandler: httpGet(heddlev1alpha1.TCPProbePath + rapid.SampledFrom([]string{"1", "080", "x", ""}).Draw(t, "rest"))}
	case "exec":
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}}
	case "grpc":
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port}}}
	}
	return nil
}

func anyContainers(t *rapid.T, name string, least int) []corev1.Container {
	var out []corev1.Container
	for range rapid.IntRange(least, 3).Draw(t, name) {
		c := corev1.Container{
			Name:           rapid.SampledFrom([]string{"a", "b", "c", "heddle-initial"}).Draw(t, "container"),
			StartupProbe:   anyProbe(t),
			LivenessProbe:  anyProbe(t),
			ReadinessProbe: anyProbe(t),
		}
		switch rapid.SampledFrom([]string{"none", "other", "own"}).Draw(t, "hook") {
		case "other":
			c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{}}}
		case "own":
			c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{}}}
		}
		if rapid.Bool().Draw(t, "ports") {
			c.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}, {Name: "sql", ContainerPort: rapid.Int32Range(0, 20000).Draw(t, "sql")}}
		}
		out = append(out, c)
	}
	return out
}

func anyPod(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name = "p"
	if v := rapid.SampledFrom([]string{"-", "enabled", "disabled", "x"}).Draw(t, "label"); v != "-" {
		pod.Labels = map[string]string{heddlev1alpha1.LabelInject: v}
	}
	if v := rapid.SampledFrom([]string{"-", "80", "80,443", "1337", "x"}).Draw(t, "exclude"); v != "-" {
		pod.Annotations = map[string]string{heddlev1alpha1.AnnotationExcludeInboundPorts: v, AnnotationProxyMemoryLimit: "1Gi"}
	}
	pod.Spec.HostNetwork = rapid.IntRange(0, 9).Draw(t, "host") == 0
	pod.Spec.InitContainers = anyContainers(t, "init", 0)
	pod.Spec.Containers = anyContainers(t, "app", 1)
	if rapid.Bool().Draw(t, "volume") {
		pod.Spec.Volumes = []corev1.Volume{{Name: heddlev1alpha1.VolumeState}, {Name: "data"}}
	}
	return pod
}

// TestInjectProperties: the input is never touched, the app's containers keep
// their order, the sidecar comes first, no tcpSocket probe of the pod's own
// redirected ports is left, and a second pass changes nothing.
func TestInjectProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pod := anyPod(t)
		before := pod.DeepCopy()
		once, _, err := Inject(pod, meshed(), config())
		if diff := cmp.Diff(before, pod); diff != "" {
			t.Fatalf("the input changed:\n%s", diff)
		}
		if err != nil {
			return
		}
		twice, _, err := Inject(once, meshed(), config())
		if err != nil {
			t.Fatalf("the second pass fails: %v", err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Fatalf("the second pass changes:\n%s", diff)
		}
		if once == pod {
			return
		}
		if diff := cmp.Diff(encoded(t, once), patched(t, pod, once)); diff != "" {
			t.Fatalf("the patch gives something else:\n%s", diff)
		}
		if ops := operations(once, twice); len(ops) > 0 {
			t.Fatalf("the second pass patches: %v", ops)
		}
		if len(once.Spec.InitContainers) != len(pod.Spec.InitContainers)+2 || len(once.Spec.Containers) != len(pod.Spec.Containers) {
			t.Fatalf("%d init and %d other containers", len(once.Spec.InitContainers), len(once.Spec.Containers))
		}
		for i, name := range []string{heddlev1alpha1.ContainerInit, heddlev1alpha1.ContainerProxy} {
			if got := once.Spec.InitContainers[i].Name; got != name {
				t.Fatalf("init container %d is %s", i, got)
			}
		}
		for i, c := range pod.Spec.InitContainers {
			if got := once.Spec.InitContainers[i+2].Name; got != c.Name {
				t.Fatalf("init container %d is %s, want %s", i+2, got, c.Name)
			}
		}
	})
}

// patched applies the patch from before to after to the JSON of before,
// stripped of what only encoding adds.
func patched(t *rapid.T, before, after *corev1.Pod) string {
	ops, err := json.Marshal(operations(before, after))
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		t.Fatal(err)
	}
	raw := strings.ReplaceAll(encoded(t, before), `,"resources":{}`, "")
	out, err := patch.Apply([]byte(raw))
	if err != nil {
		t.Fatalf("the patch doesn't apply: %v\n%s", err, ops)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(out, pod); err != nil {
		t.Fatal(err)
	}
	return encoded(t, pod)
}

func encoded(t *rapid.T, pod *corev1.Pod) string {
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// FuzzInject: whatever JSON decodes as a Pod is injected, refused or left
// alone without a panic, and stays as it is on a second pass.
func FuzzInject(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, in := range inputs {
		raw, err := os.ReadFile(in)
		if err != nil {
			f.Fatal(err)
		}
		text, err := yaml.YAMLToJSON(raw)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"spec":{"initContainers":[{"name":"heddle-init"},{"name":"heddle-proxy"}],"volumes":[{"name":"heddle-state"}]}}`)
	f.Add(`{"metadata":{"annotations":{"heddle.dev/exclude-outbound-prefixes":"::1%a/0,,"}}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		pod := &corev1.Pod{}
		if json.Unmarshal([]byte(raw), pod) != nil {
			return
		}
		once, _, err := Inject(pod, meshed(), config())
		if err != nil {
			return
		}
		twice, _, err := Inject(once, meshed(), config())
		if err != nil {
			t.Fatalf("the second pass fails: %v", err)
		}
		if diff := cmp.Diff(asJSON(t, once), asJSON(t, twice)); diff != "" {
			t.Fatalf("the second pass changes:\n%s", diff)
		}
	})
}
