package build

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
)

// Names, addresses and expressions come from small sets, so that objects often
// refer to each other and often contradict each other.
var (
	names      = []string{"a", "b", "c"}
	namespaces = []string{"x", "y"}
	ips        = []string{"10.1.0.1", "10.1.0.2", "::ffff:10.1.0.1", "fd00::1", "fe80::1%eth0", "None", ""}
	regexes    = []string{"", "/.*", "/[a-z]+", "(", `\p{Letter}`, `\pL{1000}`}
	modes      = []string{"", "Strict", "Permissive", "Deny", "Allow", "AllowUnlessTargeted", "x"}
)

func anyOf[T any](t *rapid.T, label string, of ...T) T { return rapid.SampledFrom(of).Draw(t, label) }

func flip(t *rapid.T, label string) bool { return rapid.Bool().Draw(t, label) }

// some draws up to n of what one draws.
func some[T any](t *rapid.T, label string, n int, one func(*rapid.T) T) []T {
	var out []T
	for range rapid.IntRange(0, n).Draw(t, label) {
		out = append(out, one(t))
	}
	return out
}

// each draws one object for each of some names: an API server has no two of
// one kind and name.
func each[T any](t *rapid.T, label string, one func(*rapid.T, metav1.ObjectMeta) T) []T {
	var out []T
	for _, namespace := range namespaces {
		for _, name := range names {
			if !flip(t, label) {
				continue
			}
			out = append(out, one(t, metav1.ObjectMeta{
				Namespace: namespace, Name: name, UID: types.UID("uid-" + anyOf(t, "uid", names...)),
				Generation: rapid.Int64Range(1, 3).Draw(t, "generation"), CreationTimestamp: later(rapid.IntRange(0, 2).Draw(t, "created")),
			}))
		}
	}
	return out
}

func anyObjects(t *rapid.T) Objects {
	out := Objects{
		Namespaces:      some(t, "namespaces", 1, anyNamespace),
		Services:        each(t, "service", anyService),
		EndpointSlices:  each(t, "slice", anySlice),
		Pods:            each(t, "pod", anyPod),
		TrafficSplits:   each(t, "split", anySplit),
		TrafficTargets:  each(t, "target", anyTarget),
		HTTPRouteGroups: each(t, "group", anyGroup),
		TCPRoutes:       each(t, "route", anyTCPRoute),
	}
	if flip(t, "config") {
		out.MeshConfig = &heddlev1alpha1.MeshConfig{Spec: heddlev1alpha1.MeshConfigSpec{
			MTLS:   heddlev1alpha1.MTLSSpec{Mode: heddlev1alpha1.MTLSMode(anyOf(t, "mTLS", modes...))},
			Access: heddlev1alpha1.AccessSpec{Default: heddlev1alpha1.AccessMode(anyOf(t, "access", modes...))},
		}}
	}
	return out
}

func anyNamespace(t *rapid.T) *corev1.Namespace {
	labels := map[string]string{}
	if flip(t, "mTLS") {
		labels[heddlev1alpha1.LabelMTLS] = anyOf(t, "mode", modes...)
	}
	if flip(t, "access") {
		labels[heddlev1alpha1.LabelAccess] = anyOf(t, "mode", modes...)
	}
	return namespace(anyOf(t, "namespace", namespaces...), labels)
}

func anyService(t *rapid.T, meta metav1.ObjectMeta) *corev1.Service {
	out := &corev1.Service{ObjectMeta: meta}
	out.Spec.ClusterIPs = some(t, "cluster IPs", 2, func(t *rapid.T) string { return anyOf(t, "IP", ips...) })
	if anyOf(t, "type", 0, 1, 2, 3) == 0 {
		out.Spec.Type = corev1.ServiceTypeExternalName
	}
	for _, number := range []int32{80, 81, 5432, 0, 70000} {
		if flip(t, "port") {
			port := corev1.ServicePort{Port: number, Name: anyOf(t, "port name", "", "http", "tcp-x")}
			port.Protocol = anyOf(t, "protocol", "", corev1.ProtocolTCP, corev1.ProtocolUDP)
			out.Spec.Ports = append(out.Spec.Ports, port)
		}
	}
	return out
}

func anySlice(t *rapid.T, meta metav1.ObjectMeta) *discoveryv1.EndpointSlice {
	meta.Labels = map[string]string{discoveryv1.LabelServiceName: anyOf(t, "service", names...)}
	condition := func(t *rapid.T) *bool { return anyOf(t, "condition", nil, ptr(true), ptr(false)) }
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  meta,
		AddressType: anyOf(t, "family", discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN),
		Ports: some(t, "ports", 3, func(t *rapid.T) discoveryv1.EndpointPort {
			return discoveryv1.EndpointPort{
				Name:     anyOf(t, "port name", nil, ptr(""), ptr("http"), ptr("tcp-x")),
				Port:     anyOf(t, "port", nil, ptr[int32](8080), ptr[int32](8081), ptr[int32](0), ptr[int32](70000)),
				Protocol: anyOf(t, "protocol", nil, ptr(corev1.ProtocolTCP), ptr(corev1.ProtocolUDP)),
			}
		}),
		Endpoints: some(t, "endpoints", 4, func(t *rapid.T) discoveryv1.Endpoint {
			e := discoveryv1.Endpoint{
				Addresses:  some(t, "addresses", 2, func(t *rapid.T) string { return anyOf(t, "IP", ips...) }),
				Conditions: discoveryv1.EndpointConditions{Ready: condition(t), Serving: condition(t), Terminating: condition(t)},
			}
			if flip(t, "names a pod") {
				e.TargetRef = &corev1.ObjectReference{
					Kind: anyOf(t, "kind", "Pod", "Pod", "Node"), Name: anyOf(t, "pod", names...),
					UID: types.UID(anyOf(t, "uid", "", "uid-a", "uid-b", "uid-c")),
				}
			}
			return e
		}),
	}
}

func anyPod(t *rapid.T, meta metav1.ObjectMeta) *corev1.Pod {
	out := &corev1.Pod{ObjectMeta: meta}
	out.Spec.ServiceAccountName = anyOf(t, "account", "", "a", "b")
	out.Spec.HostNetwork = anyOf(t, "host network", 0, 1, 2) == 0
	if flip(t, "sidecar") {
		out.Spec.InitContainers = []corev1.Container{{Name: heddlev1alpha1.ContainerProxy}}
	}
	out.Spec.Containers = some(t, "containers", 2, anyContainer)
	out.Status.Phase = anyOf(t, "phase", corev1.PodRunning, corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed)
	out.Status.PodIPs = some(t, "pod IPs", 2, func(t *rapid.T) corev1.PodIP { return corev1.PodIP{IP: anyOf(t, "IP", ips...)} })
	if flip(t, "started") {
		out.Status.StartTime = ptr(later(rapid.IntRange(0, 2).Draw(t, "start")))
	}
	if flip(t, "ending") {
		out.DeletionTimestamp = ptr(later(9))
	}
	if flip(t, "owned") {
		ownedBy(anyOf(t, "owner kind", "ReplicaSet", "Job"), anyOf(t, "owner", "a-1", "b"))(out)
		withTemplateHash(anyOf(t, "hash", "1", "2"))(out)
	}
	if flip(t, "excludes") {
		excluded(anyOf(t, "ports", "8080", "80,8081", "x"))(out)
	}
	if flip(t, "scraped") {
		scraped(anyOf(t, "scrape port", "80", "15021", "x"), anyOf(t, "path", "", "/m", "a:b"))(out)
	}
	return out
}

func anyContainer(t *rapid.T) corev1.Container {
	c := corev1.Container{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}
	probe := &corev1.Probe{}
	switch anyOf(t, "probe", "none", "http", "grpc", "hook") {
	case "http":
		probe.HTTPGet = &corev1.HTTPGetAction{
			Path: anyOf(t, "path", "", "/a", "/a?x} {80 /b", "a:b", "%"),
			Port: anyOf(t, "port", intstr.FromInt32(8080), intstr.FromInt32(15021), intstr.FromInt32(-1), intstr.FromString("web"), intstr.FromString("x")),
		}
	case "grpc":
		probe.GRPC = &corev1.GRPCAction{Port: anyOf[int32](t, "port", 8080, 0, 70000)}
	case "hook":
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}}
	}
	c.LivenessProbe = probe
	return c
}

func anySplit(t *rapid.T, meta metav1.ObjectMeta) *splitv1alpha4.TrafficSplit {
	out := &splitv1alpha4.TrafficSplit{ObjectMeta: meta, Spec: splitv1alpha4.TrafficSplitSpec{
		Service: anyOf(t, "root", names...),
		Backends: some(t, "backends", 4, func(t *rapid.T) splitv1alpha4.TrafficSplitBackend {
			return splitv1alpha4.TrafficSplitBackend{
				Service: anyOf(t, "backend", "a", "b", "c", "nowhere"),
				Weight:  anyOf(t, "weight", 0, 0, 1, 50, 100, math.MaxInt32, math.MaxInt, -1),
			}
		}),
	}}
	out.Spec.Matches = some(t, "matches", 2, func(t *rapid.T) splitv1alpha4.TrafficSplitMatch {
		return splitv1alpha4.TrafficSplitMatch{
			APIGroup: anyOf(t, "api group", nil, ptr("specs.smi-spec.io"), ptr(""), ptr("apps")),
			Kind:     anyOf(t, "kind", "HTTPRouteGroup", "HTTPRouteGroup", "TCPRoute"), Name: anyOf(t, "group", "a", "b", "c", "nowhere"),
		}
	})
	return out
}

func anyTarget(t *rapid.T, meta metav1.ObjectMeta) *accessv1alpha3.TrafficTarget {
	subject := func(t *rapid.T) accessv1alpha3.IdentityBindingSubject {
		return accessv1alpha3.IdentityBindingSubject{
			Kind: anyOf(t, "kind", "ServiceAccount", "ServiceAccount", "Group"), Name: anyOf(t, "account", names...),
			Namespace: anyOf(t, "namespace", "", "x", "y"),
		}
	}
	return &accessv1alpha3.TrafficTarget{ObjectMeta: meta, Spec: accessv1alpha3.TrafficTargetSpec{
		Destination: subject(t),
		Sources:     some(t, "sources", 3, subject),
		Rules: some(t, "rules", 3, func(t *rapid.T) accessv1alpha3.TrafficTargetRule {
			return accessv1alpha3.TrafficTargetRule{
				Kind: anyOf(t, "kind", "HTTPRouteGroup", "HTTPRouteGroup", "TCPRoute", "UDPRoute"), Name: anyOf(t, "route", "a", "b", "c", "a:80", ":80"),
				Matches: some(t, "matches", 2, func(t *rapid.T) string { return anyOf(t, "match", names...) }),
			}
		}),
	}}
}

func anyGroup(t *rapid.T, meta metav1.ObjectMeta) *specsv1alpha4.HTTPRouteGroup {
	return &specsv1alpha4.HTTPRouteGroup{ObjectMeta: meta, Spec: specsv1alpha4.HTTPRouteGroupSpec{
		Matches: some(t, "matches", 3, func(t *rapid.T) specsv1alpha4.HTTPMatch {
			m := specsv1alpha4.HTTPMatch{
				Name: anyOf(t, "match", names...), PathRegex: anyOf(t, "path", regexes...),
				Methods: some(t, "methods", 2, func(t *rapid.T) string { return anyOf(t, "method", "*", "GET", "PUT") }),
			}
			if flip(t, "headers") {
				m.Headers = specsv1alpha4.HeadersFromMap(map[string]string{anyOf(t, "header", "x-a", "X-B", "not a name"): anyOf(t, "value", regexes...)})
			}
			return m
		}),
	}}
}

func anyTCPRoute(t *rapid.T, meta metav1.ObjectMeta) *specsv1alpha4.TCPRoute {
	ports := some(t, "ports", 3, func(t *rapid.T) int { return anyOf(t, "port", 80, 5432, 0, -1, 70000) })
	return &specsv1alpha4.TCPRoute{ObjectMeta: meta, Spec: specsv1alpha4.TCPRouteSpec{Matches: specsv1alpha4.TCPMatch{Ports: ports}}}
}
