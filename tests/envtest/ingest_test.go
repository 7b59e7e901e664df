package envtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/ingest"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// publication is one call of the loop's Publish.
type publication struct {
	snapshot *mesh.Snapshot
	reports  mesh.Reports
}

// follower is an ingestion that sees one namespace and what has none.
type follower struct {
	*testing.T
	c         *cluster
	namespace string
	watched   cache.Cache
	published chan publication
	last      *mesh.Snapshot
	told      mesh.Reports
}

func follow(t *testing.T, c *cluster, namespace string) *follower {
	t.Helper()
	f := &follower{T: t, c: c, namespace: namespace, published: make(chan publication, 1000)}
	own := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", namespace)}
	watched, err := cache.New(c.config, cache.Options{
		Scheme:            c.scheme,
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		ByObject:          map[client.Object]cache.ByObject{&corev1.Namespace{}: own},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.watched = watched
	loop := ingest.New(watched, func(_ context.Context, s *mesh.Snapshot, reports mesh.Reports) {
		f.published <- publication{s, reports}
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- watched.Start(ctx) }()
	go func() { ended <- loop.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("ingestion ended by itself: %v", err)
			}
		}
	})
	return f
}

// view is what a snapshot says of the namespace, for people.
type view struct {
	// Services are service:port, with the shares of a split.
	Services map[string]string
	// Endpoints are addresses, those of pods with a sidecar starred.
	Endpoints map[string]string
	// Pods are names with addresses, those with a sidecar starred.
	Pods []string
	// Policies are who may call which service account.
	Policies map[string]string
	Closed   bool
	Strict   bool
	// Problems are findings that something is wrong.
	Problems []string
}

func (f *follower) view() view {
	s := f.last
	v := view{Services: map[string]string{}, Endpoints: map[string]string{}, Policies: map[string]string{}}
	for _, service := range s.Services.All() {
		for _, port := range service.Ports {
			var shares []string
			if port.Route != nil {
				for _, share := range port.Route.Shares {
					shares = append(shares, fmt.Sprintf("%s=%d", share.Backend.Service.Name, share.Weight))
				}
			}
			v.Services[fmt.Sprintf("%s:%d", service.Key.Name, port.Number)] = strings.Join(shares, " ")
		}
	}
	for key, set := range s.Endpoints.All() {
		var addresses []string
		for _, e := range set.Endpoints {
			addresses = append(addresses, e.Address.String()+star(e.Meshed))
		}
		v.Endpoints[fmt.Sprintf("%s:%d", key.Service.Name, key.Port)] = strings.Join(addresses, " ")
	}
	for key, pod := range s.Pods.All() {
		v.Pods = append(v.Pods, fmt.Sprint(key.Name, star(pod.Meshed), " ", pod.IPs))
	}
	slices.Sort(v.Pods)
	for id, policy := range s.Policies.All() {
		callers := "all"
		if policy.Closed {
			var names []string
			for _, grant := range policy.Grants {
				for _, source := range grant.Sources {
					for _, match := range grant.HTTP {
						names = append(names, fmt.Sprintf("%s:%v %s", source.ServiceAccount, match.Methods, match.PathRegex))
					}
				}
			}
			callers = strings.Join(names, ", ")
		}
		v.Policies[id.ServiceAccount] = callers
	}
	v.Closed, v.Strict = s.DefaultPolicy(f.namespace), s.Settings.Strict
	for _, finding := range build.Findings(f.told) {
		if finding.OK == (finding.Type == heddlev1alpha1.ConditionConflicted) {
			v.Problems = append(v.Problems, finding.Object.Kind+" "+finding.Object.Name+": "+finding.Reason)
		}
	}
	return v
}

func star(yes bool) string {
	if yes {
		return "*"
	}
	return ""
}

// reaches awaits that what is published looks as wanted.
func (f *follower) reaches(what string, want view) {
	f.Helper()
	patient := time.After(patience)
	for {
		select {
		case next := <-f.published:
			f.last, f.told = next.snapshot, next.reports
		case <-patient:
			if f.last == nil {
				f.Fatalf("%s: nothing was published", what)
			}
			f.Fatalf("%s: (-want +got)\n%s", what, cmp.Diff(want, f.view(), cmpopts.EquateEmpty()))
		}
		if cmp.Equal(want, f.view(), cmpopts.EquateEmpty()) {
			return
		}
	}
}

// reachesByEndpoints is reaches where nothing else may have been made anew.
func (f *follower) reachesByEndpoints(what string, want view) {
	f.Helper()
	before := f.last
	f.reaches(what, want)
	if before.Services != f.last.Services || before.Pods != f.last.Pods || before.Workloads != f.last.Workloads || before.Policies != f.last.Policies {
		f.Errorf("%s: something else was made again", what)
	}
}

func (f *follower) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: f.namespace, Name: name}
}

func (f *follower) service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: f.meta(name), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name},
		Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
}

// meshed is a pod with a sidecar, as the webhook would have left it.
func (f *follower) meshed(name string) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	return &corev1.Pod{ObjectMeta: f.meta(name), Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: heddlev1alpha1.ContainerProxy, Image: "envoy", RestartPolicy: &always}},
		Containers:     []corev1.Container{{Name: "app", Image: "app"}},
	}}
}

func (f *follower) slice(service, ip string, of *corev1.Pod) *discoveryv1.EndpointSlice {
	name, port := "http", int32(8080)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{ip},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: of.Namespace, Name: of.Name},
		}},
	}
}

func (f *follower) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *follower) update(o client.Object) {
	f.Helper()
	f.must(f.c.client.Update(f.Context(), o))
}

// seen awaits that the ingestion has the object as it is.
func (f *follower) seen(o client.Object) {
	f.Helper()
	await(f.T, "the object is seen", func(ctx context.Context) error {
		got, _ := o.DeepCopyObject().(client.Object)
		if err := f.watched.Get(ctx, client.ObjectKeyFromObject(o), got); err != nil {
			return err
		}
		if got.GetResourceVersion() != o.GetResourceVersion() {
			return fmt.Errorf("version %s, want %s", got.GetResourceVersion(), o.GetResourceVersion())
		}
		return nil
	})
}

func (f *follower) remove(objects ...client.Object) {
	f.Helper()
	for _, o := range objects {
		f.must(f.c.client.Delete(f.Context(), o))
	}
}

// A namespace comes, changes and goes, and the snapshot with it.
func TestSnapshotFollowsTheAPIServer(t *testing.T) {
	t.Parallel()
	c := installed(t)
	kindNamed("MeshConfig").borrow(t, c)
	f := follow(t, c, c.namespace(t, nil))
	want := view{Services: map[string]string{}, Endpoints: map[string]string{}, Policies: map[string]string{}}
	f.reaches("an empty namespace", want)

	cart, v2 := f.service("cart"), f.service("cart-v2")
	c.create(t, cart)
	want.Services["cart:80"] = ""
	f.reaches("a Service", want)

	split := &splitv1alpha4.TrafficSplit{ObjectMeta: f.meta("cart"), Spec: splitv1alpha4.TrafficSplitSpec{
		Service: "cart", Backends: []splitv1alpha4.TrafficSplitBackend{{Service: "cart-v2", Weight: 10}, {Service: "cart", Weight: 90}},
	}}
	c.create(t, split)
	want.Services["cart:80"] = "cart-v2=10 cart=90"
	want.Problems = []string{"TrafficSplit cart: BackendNotFound"}
	f.reaches("a split before its backend", want)

	c.create(t, v2)
	want.Services["cart-v2:80"], want.Problems = "", []string{"TrafficSplit cart: BackendNoEndpoints"}
	f.reaches("the backend", want)

	split.Spec.Backends[0].Weight, split.Spec.Backends[1].Weight = 1, 3
	f.update(split)
	want.Services["cart:80"] = "cart-v2=1 cart=3"
	f.reaches("another weight", want)
	f.remove(split)
	want.Services["cart:80"], want.Problems = "", nil
	f.reaches("a split that is gone", want)

	pod := f.meshed("cart-1")
	c.create(t, pod)
	want.Pods, want.Policies["default"] = []string{"cart-1* []"}, "all"
	f.reaches("a pod with a sidecar", want)
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.1.0.5"}}
	pod.Status.PodIP = pod.Status.PodIPs[0].IP
	f.must(c.client.Status().Update(t.Context(), pod))
	want.Pods = []string{"cart-1* [10.1.0.5]"}
	f.reaches("its address", want)

	slice := f.slice("cart", "10.1.0.5", pod)
	c.create(t, slice)
	want.Endpoints["cart:80"] = "10.1.0.5:8080*"
	f.reaches("an endpoint", want)

	group := &specsv1alpha4.HTTPRouteGroup{ObjectMeta: f.meta("cart"), Spec: specsv1alpha4.HTTPRouteGroupSpec{
		Matches: []specsv1alpha4.HTTPMatch{{Name: "read", Methods: []string{"GET"}, PathRegex: "/cart"}},
	}}
	target := &accessv1alpha3.TrafficTarget{ObjectMeta: f.meta("cart"), Spec: accessv1alpha3.TrafficTargetSpec{
		Destination: accessv1alpha3.IdentityBindingSubject{Kind: accessv1alpha3.KindServiceAccount, Name: "default"},
		Sources:     []accessv1alpha3.IdentityBindingSubject{{Kind: accessv1alpha3.KindServiceAccount, Name: "web"}},
		Rules:       []accessv1alpha3.TrafficTargetRule{{Kind: accessv1alpha3.KindHTTPRouteGroup, Name: "cart"}},
	}}
	c.create(t, target)
	want.Policies["default"], want.Problems = "", []string{"TrafficTarget cart: RouteNotFound"}
	f.reaches("a target before its group", want)
	c.create(t, group)
	want.Policies["default"], want.Problems = "web:[GET] /cart", nil
	f.reaches("the group", want)
	group.Spec.Matches[0].PathRegex = "("
	f.update(group)
	want.Policies["default"] = ""
	want.Problems = []string{"HTTPRouteGroup cart: InvalidRegex"}
	f.reaches("an expression that is none", want)
	group.Spec.Matches[0].PathRegex = "/c"
	f.update(group)
	want.Policies["default"], want.Problems = "web:[GET] /c", nil
	f.reaches("a better expression", want)

	mesh := &heddlev1alpha1.MeshConfig{ObjectMeta: metav1.ObjectMeta{Name: heddlev1alpha1.MeshConfigName}}
	mesh.Spec.MTLS.Mode = heddlev1alpha1.MTLSStrict
	c.create(t, mesh)
	want.Strict = true
	f.reaches("a MeshConfig", want)
	f.remove(mesh)
	want.Strict = false
	f.reaches("no MeshConfig", want)

	namespace := &corev1.Namespace{}
	f.must(c.client.Get(t.Context(), client.ObjectKey{Name: f.namespace}, namespace))
	namespace.Labels = map[string]string{heddlev1alpha1.LabelAccess: string(heddlev1alpha1.AccessDeny)}
	f.update(namespace)
	want.Closed = true
	f.reaches("a label of the namespace", want)

	yes, no := true, false
	slice.Endpoints[0].Conditions.Ready = &no
	f.update(slice)
	delete(want.Endpoints, "cart:80")
	f.reaches("an endpoint that isn't ready", want)

	// From here on only slices change, and the target's status.
	target.Status.ObservedGeneration = target.Generation
	f.must(c.client.Status().Update(t.Context(), target))
	f.seen(target)
	slice.Endpoints[0].Conditions.Ready = &yes
	f.update(slice)
	want.Endpoints["cart:80"] = "10.1.0.5:8080*"
	f.reachesByEndpoints("an endpoint that is ready", want)
	slice.Labels[discoveryv1.LabelServiceName] = "cart-v2"
	f.update(slice)
	want.Endpoints = map[string]string{"cart-v2:80": "10.1.0.5:8080*"}
	f.reachesByEndpoints("endpoints of another Service", want)
	f.remove(slice)
	want.Endpoints = map[string]string{}
	f.reachesByEndpoints("endpoints that are gone", want)

	slice = f.slice("cart", "10.1.0.5", pod)
	c.create(t, slice)
	want.Endpoints["cart:80"] = "10.1.0.5:8080*"
	f.reachesByEndpoints("endpoints that came back", want)
	f.remove(pod)
	delete(want.Endpoints, "cart:80")
	want.Pods = nil
	f.reaches("a pod that is gone", want)

	f.remove(target, group, cart, v2, slice, namespace)
	// What a controller does when all in it is deleted.
	namespace.ResourceVersion, namespace.Spec.Finalizers = "", nil
	_, err := c.kube.CoreV1().Namespaces().Finalize(t.Context(), namespace, metav1.UpdateOptions{})
	f.must(err)
	f.reaches("nothing", view{})
	empty, _ := build.Build(build.Objects{})
	empty.Generation = f.last.Generation
	if *empty != *f.last {
		t.Errorf("snapshot when all is deleted: %+v", f.last)
	}
}
