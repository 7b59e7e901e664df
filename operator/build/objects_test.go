package build

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// ns is the namespace of everything a test does not put elsewhere.
const ns = "shop"

// epoch is when everything was created, unless a test says later.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// addresses lets cmp compare addresses, of which it can't see the inside.
var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: ns, Name: name, Generation: 1, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(epoch),
	}
}

func later(seconds int) metav1.Time {
	return metav1.NewTime(epoch.Add(time.Duration(seconds) * time.Second))
}

// service returns a Service with a cluster IP and these ports, by default 80.
func service(name, clusterIP string, ports ...corev1.ServicePort) *corev1.Service {
	if ports == nil {
		ports = []corev1.ServicePort{{Port: 80}}
	}
	return &corev1.Service{
		ObjectMeta: meta(name),
		Spec:       corev1.ServiceSpec{ClusterIP: clusterIP, ClusterIPs: []string{clusterIP}, Ports: ports},
	}
}

// slice returns an EndpointSlice of a Service whose one port has no name.
func slice(service string, port int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		ObjectMeta:  meta(service + "-1"),
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints:   endpoints,
	}
	out.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	return out
}

// backing returns a slice with one ready endpoint for each service, which is
// behind all of its ports.
func backing(services ...*corev1.Service) []*discoveryv1.EndpointSlice {
	out := make([]*discoveryv1.EndpointSlice, 0, len(services))
	for _, s := range services {
		backed := slice(s.Name, 8080, endpoint("192.0.2.1"))
		backed.Namespace, backed.Ports = s.Namespace, nil
		for _, port := range s.Spec.Ports {
			backed.Ports = append(backed.Ports, discoveryv1.EndpointPort{Name: &port.Name, Port: ptr[int32](8080)})
		}
		out = append(out, backed)
	}
	return out
}

func endpoint(address string, changes ...func(*discoveryv1.Endpoint)) discoveryv1.Endpoint {
	out := discoveryv1.Endpoint{Addresses: []string{address}}
	for _, change := range changes {
		change(&out)
	}
	return out
}

// of makes the endpoint that of a pod as pod returns it.
func of(name string) func(*discoveryv1.Endpoint) {
	return func(e *discoveryv1.Endpoint) {
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: name, UID: types.UID("uid-" + name)}
	}
}

func conditions(ready, serving, terminating bool) func(*discoveryv1.Endpoint) {
	return func(e *discoveryv1.Endpoint) {
		e.Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	}
}

func draining(e *discoveryv1.Endpoint) { conditions(false, true, true)(e) }

// pod returns a running pod with a sidecar and the service account name.
func pod(name, account, ip string, changes ...func(*corev1.Pod)) *corev1.Pod {
	out := &corev1.Pod{
		ObjectMeta: meta(name),
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			InitContainers:     []corev1.Container{{Name: heddlev1alpha1.ContainerInit}, {Name: heddlev1alpha1.ContainerProxy}},
			Containers:         []corev1.Container{{Name: "app"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if ip != "" {
		out.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	for _, change := range changes {
		change(out)
	}
	return out
}

func withoutSidecar(p *corev1.Pod) { p.Spec.InitContainers = nil }

func onHostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }

func inPhase(phase corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = phase }
}

func startedAt(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		at := later(seconds)
		p.Status.StartTime = &at
	}
}

func createdAt(seconds int) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.CreationTimestamp = later(seconds) }
}

func beingDeleted(p *corev1.Pod) {
	at := later(3600)
	p.DeletionTimestamp = &at
}

func identity(account string) mesh.Identity {
	return mesh.Identity{Namespace: ns, ServiceAccount: account}
}

func portKey(service string, port uint16) mesh.PortKey {
	return mesh.PortKey{Service: mesh.ServiceKey{Namespace: ns, Name: service}, Port: port}
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func ptr[T any](v T) *T { return &v }

// reversed returns the objects with every list back to front.
func reversed(o Objects) Objects {
	o.Namespaces = backwards(o.Namespaces)
	o.Services = backwards(o.Services)
	o.EndpointSlices = backwards(o.EndpointSlices)
	o.Pods = backwards(o.Pods)
	o.TrafficSplits = backwards(o.TrafficSplits)
	o.TrafficTargets = backwards(o.TrafficTargets)
	o.HTTPRouteGroups = backwards(o.HTTPRouteGroups)
	o.TCPRoutes = backwards(o.TCPRoutes)
	o.UDPRoutes = backwards(o.UDPRoutes)
	return o
}

func backwards[T any](in []T) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[len(in)-1-i] = v
	}
	return out
}

// built builds the objects as they are and back to front, and fails unless
// both are the same.
func built(t *testing.T, objects Objects) (*mesh.Snapshot, []mesh.Finding) {
	t.Helper()
	snapshot, findings := Build(objects)
	other, otherFindings := Build(reversed(objects))
	if diff := differ(snapshot, other); diff != "" {
		t.Errorf("the order of the objects makes a difference (-as given +reversed):\n%s", diff)
	}
	if diff := cmp.Diff(findings, otherFindings); diff != "" {
		t.Errorf("the order of the objects makes a difference to the findings (-as given +reversed):\n%s", diff)
	}
	return snapshot, findings
}

// between are the changes from some objects to others.
func between(before, after Objects) Changes {
	was, out := before.changes(), after.changes()
	drop(&out.MeshConfigs, was.MeshConfigs)
	drop(&out.Namespaces, was.Namespaces)
	drop(&out.Services, was.Services)
	drop(&out.EndpointSlices, was.EndpointSlices)
	drop(&out.Pods, was.Pods)
	drop(&out.TrafficSplits, was.TrafficSplits)
	drop(&out.TrafficTargets, was.TrafficTargets)
	drop(&out.HTTPRouteGroups, was.HTTPRouteGroups)
	drop(&out.TCPRoutes, was.TCPRoutes)
	drop(&out.UDPRoutes, was.UDPRoutes)
	return out
}

// drop leaves out what is as it was and notes what is gone.
func drop[T client.Object](now *Of[T], was Of[T]) {
	for name, object := range was {
		switch after, ok := (*now)[name]; {
		case !ok:
			var gone T
			(*now)[name] = gone
		case client.Object(after) == client.Object(object):
			delete(*now, name)
		}
	}
}

// differ returns how two snapshots differ besides in their generation.
func differ(x, y *mesh.Snapshot) string {
	return cmp.Diff(contents(x), contents(y), addresses)
}

func contents(s *mesh.Snapshot) map[string]any {
	return map[string]any{
		"settings": s.Settings, "services": maps.Collect(s.Services.All()), "endpoints": maps.Collect(s.Endpoints.All()),
		"pods": maps.Collect(s.Pods.All()), "pods by IP": maps.Collect(s.PodsByIP.All()), "workloads": maps.Collect(s.Workloads.All()),
		"policies": maps.Collect(s.Policies.All()), "access": maps.Collect(s.NamespaceAccess.All()), "uses": maps.Collect(s.Uses.All()),
	}
}
