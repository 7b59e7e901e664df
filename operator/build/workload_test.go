package build

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func TestWhoHasAnAddress(t *testing.T) {
	t.Parallel()
	const ip = "10.1.0.1"
	tests := map[string]struct {
		pods []*corev1.Pod
		// want is the pod's name, empty for nobody.
		want string
	}{
		"the only pod":                             {[]*corev1.Pod{pod("a", "x", ip)}, "a"},
		"a pod without a sidecar, too":             {[]*corev1.Pod{pod("a", "x", ip, withoutSidecar)}, "a"},
		"a pod of unknown phase, too":              {[]*corev1.Pod{pod("a", "x", ip, inPhase(corev1.PodUnknown))}, "a"},
		"a pod that is being deleted, still":       {[]*corev1.Pod{pod("a", "x", ip, beingDeleted)}, "a"},
		"not one that has succeeded":               {[]*corev1.Pod{pod("a", "x", ip, inPhase(corev1.PodSucceeded))}, ""},
		"not one that has failed":                  {[]*corev1.Pod{pod("a", "x", ip, inPhase(corev1.PodFailed))}, ""},
		"not one on the node's network":            {[]*corev1.Pod{pod("a", "x", ip, onHostNetwork), pod("b", "x", ip, onHostNetwork)}, ""},
		"its successor rather than one that ended": {[]*corev1.Pod{pod("a", "x", ip, inPhase(corev1.PodSucceeded), startedAt(9)), pod("b", "x", ip, startedAt(1))}, "b"},
		"the pod beside those on the node's network": {
			[]*corev1.Pod{pod("a", "x", ip, onHostNetwork, startedAt(9)), pod("b", "x", ip), pod("c", "x", ip, onHostNetwork, startedAt(9))}, "b",
		},
		"not the one that is being deleted, though it started last": {
			[]*corev1.Pod{pod("a", "x", ip, beingDeleted, startedAt(9)), pod("b", "x", ip, startedAt(1))}, "b",
		},
		"the one that started last": {
			[]*corev1.Pod{pod("a", "x", ip, startedAt(2)), pod("b", "x", ip, startedAt(3)), pod("c", "x", ip, startedAt(1))}, "b",
		},
		"the one that started last, not the one created last": {
			[]*corev1.Pod{pod("a", "x", ip, createdAt(1), startedAt(5)), pod("b", "x", ip, createdAt(2), startedAt(4))}, "a",
		},
		"creation stands in for a start that is not known": {
			[]*corev1.Pod{pod("a", "x", ip, createdAt(3)), pod("b", "x", ip, createdAt(1), startedAt(2))}, "a",
		},
		"of those being deleted the one that started last": {
			[]*corev1.Pod{pod("a", "x", ip, beingDeleted, startedAt(1)), pod("b", "x", ip, beingDeleted, startedAt(2))}, "b",
		},
		"of equals the first by name": {[]*corev1.Pod{pod("c", "x", ip), pod("a", "x", ip), pod("b", "x", ip)}, "a"},
		"of equals the first by namespace": {
			[]*corev1.Pod{pod("a", "x", ip), pod("b", "x", ip, func(p *corev1.Pod) { p.Namespace = "first" })}, "b",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := built(t, Objects{Pods: tc.pods})
			got := ""
			if owner := snapshot.PodsByIP.Get(netip.MustParseAddr(ip)); owner != nil {
				got = owner.Key.Name
				if owner != snapshot.Pods.Get(owner.Key) {
					t.Error("not the same pod as by name")
				}
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func excluded(ports string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Annotations = map[string]string{heddlev1alpha1.AnnotationExcludeInboundPorts: ports}
	}
}

func TestPods(t *testing.T) {
	t.Parallel()
	key := mesh.PodKey{Namespace: ns, Name: "web-1"}
	ip := netip.MustParseAddr("10.1.0.1")
	tests := map[string]struct {
		pod  *corev1.Pod
		want *mesh.Pod
	}{
		"with a sidecar": {
			pod("web-1", "web", "10.1.0.1"),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web"), Meshed: true, DirectPorts: []uint16{15020, 15021}, IPs: []netip.Addr{ip}},
		},
		"ports that bypass the sidecar": {
			pod("web-1", "web", "", excluded(" 9091,x,9090, 9091,0,65536,-1,")),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web"), Meshed: true, DirectPorts: []uint16{9090, 9091, 15020, 15021}},
		},
		"no port bypasses a sidecar that is not there": {
			pod("web-1", "web", "", withoutSidecar, excluded("9090")),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web")},
		},
		"without a sidecar it is of no workload": {
			pod("web-1", "web", "10.1.0.1", withoutSidecar),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web"), IPs: []netip.Addr{ip}},
		},
		"without an account it runs as default": {
			pod("web-1", "", "10.1.0.1", withoutSidecar),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("default"), IPs: []netip.Addr{ip}},
		},
		"on the node's network it is never meshed and has no address": {
			pod("web-1", "web", "10.1.0.1", onHostNetwork),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web")},
		},
		"an ordinary container of the sidecar's name is no sidecar": {
			pod("web-1", "web", "", withoutSidecar, func(p *corev1.Pod) { p.Spec.Containers[0].Name = heddlev1alpha1.ContainerProxy }),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web")},
		},
		"heddle-init alone is no sidecar": {
			pod("web-1", "web", "", func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.InitContainers[:1] }),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web")},
		},
		"addresses that can't be read are none": {
			pod("web-1", "web", "", withoutSidecar, func(p *corev1.Pod) {
				p.Status.PodIPs = []corev1.PodIP{{IP: ""}, {IP: "x"}, {IP: "fe80::1%eth0"}, {IP: "::ffff:10.1.0.1"}, {IP: "fd00::1"}}
			}),
			&mesh.Pod{Key: key, UID: "uid-web-1", Identity: identity("web"), IPs: []netip.Addr{ip, netip.MustParseAddr("fd00::1")}},
		},
		"one that has succeeded is none": {pod("web-1", "web", "10.1.0.1", inPhase(corev1.PodSucceeded)), nil},
		"one that has failed is none":    {pod("web-1", "web", "10.1.0.1", inPhase(corev1.PodFailed)), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := built(t, Objects{Pods: []*corev1.Pod{tc.pod}})
			got := snapshot.Pods.Get(key)
			if diff := cmp.Diff(tc.want, got, addresses, cmpopts.IgnoreFields(mesh.Pod{}, "Workload")); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
			if wanted := tc.want != nil && tc.want.Meshed; wanted != (snapshot.Workloads.Len() == 1) {
				t.Errorf("%d workloads", snapshot.Workloads.Len())
			}
		})
	}
}

func ownedBy(kind, name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "Config", Name: "x"}, {Kind: kind, Name: name, Controller: ptr(true)}}
	}
}

func withTemplateHash(hash string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"pod-template-hash": hash} }
}

func TestWorkloadIsTheOwnerThatPeopleKnow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod  *corev1.Pod
		want mesh.WorkloadKey
	}{
		"a pod of its own": {
			pod("web-1", "web", ""), mesh.WorkloadKey{Namespace: ns, Kind: "Pod", Name: "web-1"},
		},
		"an owner that is no controller": {
			pod("web-1", "web", "", func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", Name: "n"}} }),
			mesh.WorkloadKey{Namespace: ns, Kind: "Pod", Name: "web-1"},
		},
		"a StatefulSet": {
			pod("web-1", "web", "", ownedBy("StatefulSet", "web")), mesh.WorkloadKey{Namespace: ns, Kind: "StatefulSet", Name: "web"},
		},
		"a ReplicaSet of a Deployment": {
			pod("web-5f6-x", "web", "", ownedBy("ReplicaSet", "web-5f6"), withTemplateHash("5f6")),
			mesh.WorkloadKey{Namespace: ns, Kind: "Deployment", Name: "web"},
		},
		"a ReplicaSet of its own": {
			pod("web-x", "web", "", ownedBy("ReplicaSet", "web")), mesh.WorkloadKey{Namespace: ns, Kind: "ReplicaSet", Name: "web"},
		},
		"a ReplicaSet that is not named after the hash": {
			pod("web-x", "web", "", ownedBy("ReplicaSet", "web-5f6"), withTemplateHash("777")),
			mesh.WorkloadKey{Namespace: ns, Kind: "ReplicaSet", Name: "web-5f6"},
		},
		"the hash on something else than a ReplicaSet": {
			pod("web-x", "web", "", ownedBy("Job", "web-5f6"), withTemplateHash("5f6")),
			mesh.WorkloadKey{Namespace: ns, Kind: "Job", Name: "web-5f6"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := Build(Objects{Pods: []*corev1.Pod{tc.pod}})
			got := snapshot.Pods.Get(podKey(tc.pod)).Workload
			if snapshot.Workloads.Get(got) == nil || snapshot.Workloads.Get(got).Key != got {
				t.Errorf("no workload %+v", got)
			}
			if got.Variant == "" {
				t.Error("no variant")
			}
			got.Variant = ""
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("workload (-want +got):\n%s", diff)
			}
		})
	}
}

func probed(path string, port int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "probed", LivenessProbe: httpGet(path, port)})
	}
}

// Pods share a workload when their sidecars listen alike, and only then.
func TestVariants(t *testing.T) {
	t.Parallel()
	owned := ownedBy("StatefulSet", "web")
	tests := map[string]struct {
		x, y *corev1.Pod
		same bool
	}{
		"two of one kind": {pod("web-0", "web", "", owned), pod("web-1", "web", "", owned), true},
		"the same probe in another place": {
			pod("web-0", "web", "", owned, probed("/a", 80), probed("/b", 80)),
			pod("web-1", "web", "", owned, probed("/b", 80), probed("/a", 80)), true,
		},
		"another account":      {pod("web-0", "web", "", owned), pod("web-1", "x", "", owned), false},
		"another owner":        {pod("web-0", "web", "", owned), pod("web-1", "web", ""), false},
		"another probe":        {pod("web-0", "web", "", owned, probed("/a", 80)), pod("web-1", "web", "", owned, probed("/b", 80)), false},
		"another probe's port": {pod("web-0", "web", "", owned, probed("/a", 80)), pod("web-1", "web", "", owned, probed("/a", 81)), false},
		"a probe over TLS": {
			pod("web-0", "web", "", owned, probed("/a", 80)),
			pod("web-1", "web", "", owned, probed("/a", 80), func(p *corev1.Pod) {
				p.Spec.Containers[1].LivenessProbe.HTTPGet.Scheme = corev1.URISchemeHTTPS
			}), false,
		},
		"one probe that reads like two": {
			pod("web-0", "web", "", owned, probed("/a?x", 80), probed("/b", 80)),
			pod("web-1", "web", "", owned, probed("/a?x GET} {80 /b", 80)), false,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := built(t, Objects{Pods: []*corev1.Pod{tc.x, tc.y}})
			x, y := snapshot.Pods.Get(podKey(tc.x)).Workload, snapshot.Pods.Get(podKey(tc.y)).Workload
			if (x == y) != tc.same {
				t.Errorf("%+v and %+v", x, y)
			}
			if want := map[bool]int{true: 1, false: 2}[tc.same]; snapshot.Workloads.Len() != want {
				t.Errorf("%d workloads, want %d", snapshot.Workloads.Len(), want)
			}
		})
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	strict := &heddlev1alpha1.MeshConfig{Spec: heddlev1alpha1.MeshConfigSpec{MTLS: heddlev1alpha1.MTLSSpec{Mode: heddlev1alpha1.MTLSStrict}}}
	label := func(value string) []*corev1.Namespace {
		return []*corev1.Namespace{namespace(ns, map[string]string{heddlev1alpha1.LabelMTLS: value}), namespace("other", nil)}
	}
	tests := map[string]struct {
		config     *heddlev1alpha1.MeshConfig
		namespaces []*corev1.Namespace
		want       bool
	}{
		"nothing said":                    {nil, nil, false},
		"the mesh is strict":              {strict, nil, true},
		"a namespace without a label":     {strict, []*corev1.Namespace{namespace(ns, nil)}, true},
		"the namespace is strict":         {nil, label("Strict"), true},
		"the namespace is permissive":     {strict, label("Permissive"), false},
		"a mode that is misspelt":         {nil, label("strict"), true},
		"a mode that is empty":            {nil, label(""), true},
		"another namespace is permissive": {strict, []*corev1.Namespace{namespace("other", map[string]string{heddlev1alpha1.LabelMTLS: "Permissive"})}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := built(t, Objects{
				MeshConfig: tc.config, Namespaces: tc.namespaces, Pods: []*corev1.Pod{pod("web-1", "web", "10.1.0.1")},
			})
			for _, workload := range snapshot.Workloads.All() {
				if workload.Strict != tc.want {
					t.Errorf("strict is %t", workload.Strict)
				}
			}
			if snapshot.Workloads.Len() != 1 {
				t.Errorf("%d workloads", snapshot.Workloads.Len())
			}
		})
	}
}
