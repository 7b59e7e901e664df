package metricsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metricsv1alpha1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha1"
	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// world is a cluster: cart-1 and cart-2 behind Services of their names, shared by
// split cart; web-1 of shop and front-1 of front call them.
type world struct {
	flows     []*Flow
	flowsErr  error
	forbidden bool
}

func (w world) Flows(context.Context, string, time.Duration, time.Time) ([]*Flow, error) {
	return w.flows, w.flowsErr
}

func (w world) Allow(_ *http.Request, a Attributes) error {
	if w.forbidden {
		return apierrors.NewForbidden(schema.GroupResource{Group: Group, Resource: a.Resource}, a.Name, errors.New("no"))
	}
	return nil
}

var there = map[string][]mesh.ServiceKey{
	"namespaces":    {{Name: "front"}, {Name: "shop"}},
	"pods":          {{Namespace: "front", Name: "front-1"}, {Namespace: "shop", Name: "cart-1"}, {Namespace: "shop", Name: "cart-2"}, {Namespace: "shop", Name: "web-1"}},
	"deployments":   {{Namespace: "shop", Name: "cart-v1"}, {Namespace: "shop", Name: "cart-v2"}, {Namespace: "shop", Name: "idle"}},
	"nodes":         {{Name: "one"}, {Name: "two"}},
	"replicasets":   {{Namespace: "shop", Name: "api-5d8f"}, {Namespace: "shop", Name: "api-77c4"}},
	"jobs":          {{Namespace: "shop", Name: "import"}},
	"services":      {{Namespace: "shop", Name: "cart"}, {Namespace: "shop", Name: "cart-v1"}},
	"trafficsplits": {{Namespace: "shop", Name: "cart"}},
}

func (world) List(_ context.Context, of schema.GroupVersionResource, namespace string, selector labels.Selector) ([]mesh.ServiceKey, error) {
	var out []mesh.ServiceKey
	for _, key := range there[of.Resource] {
		if (namespace == "" || key.Namespace == namespace) && selector.Matches(labels.Set{"name": key.Name}) {
			out = append(out, key)
		}
	}
	return out, nil
}

func (world) Get(_ context.Context, of schema.GroupVersionResource, namespace, name string) error {
	if slices.Contains(there[of.Resource], mesh.ServiceKey{Namespace: namespace, Name: name}) {
		return nil
	}
	return apierrors.NewNotFound(of.GroupResource(), name)
}

var (
	webID   = mesh.Identity{Namespace: "shop", ServiceAccount: "web"}
	frontID = mesh.Identity{Namespace: "front", ServiceAccount: "front"}
	cartID  = mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
)

func snapshot() *mesh.Snapshot {
	s := &mesh.Snapshot{}
	pod := func(namespace, name, ip, workload string, id mesh.Identity) {
		p := &mesh.Pod{
			Key: mesh.PodKey{Namespace: namespace, Name: name}, Identity: id, Meshed: true, Node: "one",
			Workload: mesh.WorkloadKey{Namespace: namespace, Kind: "Deployment", Name: workload},
		}
		s.Pods, s.PodsByIP = s.Pods.With(p.Key, p), s.PodsByIP.With(netip.MustParseAddr(ip), p)
	}
	pod("shop", "cart-1", "10.1.0.1", "cart-v1", cartID)
	pod("shop", "cart-2", "10.1.0.2", "cart-v2", cartID)
	pod("shop", "web-1", "10.1.0.3", "web", webID)
	pod("front", "front-1", "10.1.0.4", "front", frontID)
	service := func(name string, route *mesh.Route, ips ...string) mesh.PortKey {
		key := mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: name}, Port: 80}
		s.Services = s.Services.With(key.Service, &mesh.Service{Key: key.Service, Ports: []*mesh.Port{{Key: key, Route: route}}})
		set := &mesh.EndpointSet{Key: key}
		for _, ip := range ips {
			set.Endpoints = append(set.Endpoints, mesh.Endpoint{Address: netip.AddrPortFrom(netip.MustParseAddr(ip), 8080)})
		}
		s.Endpoints = s.Endpoints.With(key, set)
		return key
	}
	v1, v2 := service("cart-v1", nil, "10.1.0.1"), service("cart-v2", nil, "10.1.0.2")
	root := service("cart", &mesh.Route{Origin: "TrafficSplit shop/cart", Shares: []mesh.Share{{Backend: v1, Weight: 90}, {Backend: v2, Weight: 10}}}, "10.1.0.1", "10.1.0.2")
	s.Uses = s.Uses.With(mesh.ObjectKey{Group: "split.smi-spec.io", Kind: "TrafficSplit", Namespace: "shop", Name: "cart"}, &mesh.Use{Ports: []mesh.PortKey{root}})
	return s
}

func flow(pod, workload string, from mesh.Identity, requests, failures float64) *Flow {
	return &Flow{
		FlowKey:  FlowKey{Pod: mesh.PodKey{Namespace: "shop", Name: pod}, Kind: "Deployment", Name: workload, Source: from},
		Requests: requests, Failures: failures, Buckets: map[float64]float64{10: requests / 2, 20: requests, math.Inf(1): requests},
	}
}

// traffic is 200 requests to the split, half of them from another namespace.
func traffic() world {
	return world{flows: []*Flow{
		flow("cart-1", "cart-v1", webID, 90, 0), flow("cart-1", "cart-v1", frontID, 90, 0),
		flow("cart-2", "cart-v2", webID, 10, 4), flow("cart-2", "cart-v2", frontID, 10, 0),
	}}
}

// probed is the same with probes of the kubelet.
func probed() world {
	w := traffic()
	w.flows = append(w.flows, flow("cart-1", "cart-v1", mesh.Identity{}, 30, 0))
	return w
}

func (w world) handler() Handler {
	return Handler{Objects: w, Flows: w, Access: w, Snapshot: snapshot, Now: func() time.Time { return time.Unix(1000, 0).UTC() }, Log: logr.Discard()}
}

func (w world) get(t *testing.T, path string, into any) int {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path+path, http.NoBody))
	if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
		t.Fatalf("%s: %v in %s", path, err, recorder.Body)
	}
	return recorder.Code
}

// said writes a list in short: object, backend, edge and counts.
func said(items []*metricsv1alpha2.TrafficMetrics) []string {
	var out []string
	for _, m := range items {
		line := m.Resource.Kind + " " + m.Resource.Name
		if m.Backend != nil {
			line += fmt.Sprintf(" [%s %s=%d]", m.Backend.Apex, m.Backend.Name, m.Backend.Weight)
		}
		if m.Edge.Resource != nil {
			line += fmt.Sprintf(" %s %s %s/%s", m.Edge.Direction, m.Edge.Resource.Kind, m.Edge.Resource.Namespace, m.Edge.Resource.Name)
		}
		out = append(out, fmt.Sprintf("%s: %s+%s", line, m.Get("success_count").Value, m.Get("failure_count").Value))
	}
	return out
}

func TestLists(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path string
		want []string
	}{
		"all namespaces":         {"/v1alpha2/namespaces", []string{"Namespace front: 0+0", "Namespace shop: 196+4"}},
		"edges of a namespace":   {"/v1alpha2/namespaces/shop/edges", []string{"Namespace shop from Namespace /front: 100+0", "Namespace shop from Namespace /shop: 96+4", "Namespace shop to Namespace /shop: 96+4"}},
		"deployments":            {"/v1alpha2/namespaces/shop/deployments", []string{"Deployment cart-v1: 180+0", "Deployment cart-v2: 16+4", "Deployment idle: 0+0"}},
		"of all namespaces":      {"/v1alpha2/deployments?labelSelector=name%3Didle", []string{"Deployment idle: 0+0"}},
		"edges of a deployment":  {"/v1alpha2/namespaces/shop/deployments/cart-v2/edges", []string{"Deployment cart-v2 from Deployment front/front: 10+0", "Deployment cart-v2 from Deployment shop/web: 6+4"}},
		"edges of a caller":      {"/v1alpha2/namespaces/shop/pods/web-1/edges", []string{"Pod web-1 to Pod shop/cart-1: 90+0", "Pod web-1 to Pod shop/cart-2: 6+4"}},
		"nothing to tell":        {"/v1alpha2/namespaces/shop/deployments/idle/edges", nil},
		"services":               {"/v1alpha2/namespaces/shop/services", []string{"Service cart: 196+4", "Service cart-v1: 180+0"}},
		"nodes":                  {"/v1alpha2/nodes", []string{"Node one: 196+4", "Node two: 0+0"}},
		"edges of a node":        {"/v1alpha2/nodes/one/edges", []string{"Node one from Node /one: 196+4", "Node one to Node /one: 196+4"}},
		"a job":                  {"/v1alpha2/namespaces/shop/jobs", []string{"Job import: 0+0"}},
		"a split by its backend": {"/v1alpha2/namespaces/shop/trafficsplits/cart", []string{"TrafficSplit cart [cart cart-v1=90]: 180+0", "TrafficSplit cart [cart cart-v2=10]: 16+4"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list metricsv1alpha2.TrafficMetricsList
			if code := traffic().get(t, tc.path, &list); code != 200 || list.Kind != "TrafficMetricsList" {
				t.Fatalf("%d %s", code, list.Kind)
			}
			if diff := cmp.Diff(tc.want, said(list.Items)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCaseO59_RequestsFromOtherNamespacesCount(t *testing.T) {
	t.Parallel()
	var list metricsv1alpha2.TrafficMetricsList
	probed().get(t, "/v1alpha2/namespaces/shop/trafficsplits/cart", &list)
	total := int64(0)
	for _, item := range list.Items {
		total += item.Get("success_count").Value.Value() + item.Get("failure_count").Value.Value()
	}
	if total != 200 {
		t.Errorf("%d requests to the split, want 200", total)
	}
	probed().get(t, "/v1alpha2/namespaces/shop/trafficsplits/cart/edges", &list)
	from := map[string]int64{}
	for _, item := range list.Items {
		from[item.Edge.Resource.Namespace] += item.Get("success_count").Value.Value() + item.Get("failure_count").Value.Value()
	}
	if diff := cmp.Diff(map[string]int64{"shop": 100, "front": 100}, from); diff != "" {
		t.Errorf("by the namespace of the caller (-want +got):\n%s", diff)
	}
}

func TestOneObject(t *testing.T) {
	t.Parallel()
	var got metricsv1alpha2.TrafficMetrics
	if code := traffic().get(t, "/v1alpha2/namespaces/shop/deployments/cart-v1?t=2m", &got); code != 200 {
		t.Fatal(code)
	}
	if got.Kind != "TrafficMetrics" || got.Name != "cart-v1" || got.Window.Duration != 2*time.Minute || got.Edge.Direction != "from" || got.Edge.Resource != nil {
		t.Errorf("%+v", got)
	}
	for name, want := range map[string]string{"p50_response_latency": "10", "p90_response_latency": "18", "p99_response_latency": "19800m"} {
		if m := got.Get(name); m == nil || m.Value.String() != want || m.Unit != "ms" {
			t.Errorf("%s is %v, want %s ms", name, m, want)
		}
	}
	var older metricsv1alpha1.TrafficMetrics
	if code := traffic().get(t, "/v1alpha1/namespaces/shop/deployments/cart-v1", &older); code != 200 || older.APIVersion != "metrics.smi-spec.io/v1alpha1" || older.Get("success_count").Value.Value() != 180 {
		t.Errorf("%d %+v", code, older)
	}
	var list metricsv1alpha1.TrafficMetricsList
	if code := traffic().get(t, "/v1alpha1/namespaces/shop/deployments", &list); code != 200 || len(list.Items) != 3 || list.APIVersion != metricsv1alpha1.APIVersion {
		t.Errorf("%d, %d items of %s", code, len(list.Items), list.APIVersion)
	}
}

// v1alpha1's own types lack backends, its text does not.
func TestSplitsInTheFirstVersion(t *testing.T) {
	t.Parallel()
	var list metricsv1alpha2.TrafficMetricsList
	traffic().get(t, "/v1alpha1/namespaces/shop/trafficsplits/cart", &list)
	want := []string{"TrafficSplit cart [cart cart-v1=90]: 180+0", "TrafficSplit cart [cart cart-v2=10]: 16+4"}
	if diff := cmp.Diff(want, said(list.Items)); diff != "" || list.Items[0].Edge.Side != metricsv1alpha2.Server {
		t.Errorf("side %q (-want +got):\n%s", list.Items[0].Edge.Side, diff)
	}
}

func TestSelectorIsTold(t *testing.T) {
	t.Parallel()
	var list struct{ Selector *metav1.LabelSelector }
	traffic().get(t, "/v1alpha1/namespaces/shop/pods?labelSelector=app%3Dcart", &list)
	if want := (&metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}}); !cmp.Equal(want, list.Selector) {
		t.Errorf("%v", list.Selector)
	}
}

// Rights are asked for as the API server itself reads the path, or a role that
// lets somebody through there would not do here.
func TestRightsAreReadAsByTheAPIServer(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"namespaces", "namespaces/shop", "namespaces/shop/edges", "nodes/one", "nodes/one/edges", "pods", "namespaces/shop/pods", "namespaces/shop/pods/a", "namespaces/shop/pods/a/edges",
	} {
		q, ok := readPath(strings.Split("v1alpha2/"+path, "/"))
		if !ok {
			t.Errorf("%s is not read", path)
			continue
		}
		factory := apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("apis")}
		theirs, err := factory.NewRequestInfo(httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path+"/v1alpha2/"+path, http.NoBody))
		if err != nil {
			t.Fatal(err)
		}
		want := Attributes{Verb: theirs.Verb, Version: theirs.APIVersion, Resource: theirs.Resource, Subresource: theirs.Subresource, Namespace: theirs.Namespace, Name: theirs.Name}
		if diff := cmp.Diff(want, q.attributes()); diff != "" {
			t.Errorf("%s (-theirs +ours):\n%s", path, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world      world
		path, says string
		code       int
	}{
		"an unknown kind":       {traffic(), "/v1alpha2/namespaces/shop/cronjobs", "there is nothing at", 404},
		"nodes in a namespace":  {traffic(), "/v1alpha2/namespaces/shop/nodes", "there is nothing at", 404},
		"an unknown version":    {traffic(), "/v1/pods", "there is nothing at", 404},
		"too long a path":       {traffic(), "/v1alpha2/namespaces/shop/pods/a/b", "there is nothing at", 404},
		"edges of a list":       {traffic(), "/v1alpha2/namespaces/shop/pods/edges/edges", `"edges" not found`, 404},
		"a pod of no namespace": {traffic(), "/v1alpha2/pods/cart-1", "there is nothing at", 404},
		"no such object":        {traffic(), "/v1alpha2/namespaces/shop/deployments/nowhere", `"nowhere" not found`, 404},
		"a window in words":     {traffic(), "/v1alpha2/pods?t=soon", "write one as in t=5m", 400},
		"a window of nothing":   {traffic(), "/v1alpha2/pods?t=0s", "is no duration from 1s", 400},
		"a bad selector":        {traffic(), "/v1alpha2/pods?labelSelector=a%3D%3D%3Db", "labelSelector:", 400},
		"a selector of one":     {traffic(), "/v1alpha2/namespaces/shop/pods/cart-1?labelSelector=a", "labelSelector:", 400},
		"who may not":           {world{forbidden: true}, "/v1alpha2/pods", "no", 403},
		"no Prometheus":         {world{flowsErr: errors.New("connection refused")}, "/v1alpha2/pods", "Prometheus, which does not answer: connection refused", 503},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var status metav1.Status
			if code := tc.world.get(t, tc.path, &status); code != tc.code || int(status.Code) != tc.code || status.Kind != "Status" || !strings.Contains(status.Message, tc.says) {
				t.Errorf("%d %+v", code, status)
			}
		})
	}
	recorder := httptest.NewRecorder()
	traffic().handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, Path+"/v1alpha2/pods", http.NoBody))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", recorder.Code)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	var group metav1.APIGroup
	if code := traffic().get(t, "", &group); code != 200 || group.Name != Group || group.PreferredVersion.Version != "v1alpha2" || len(group.Versions) != 2 {
		t.Errorf("%d %+v", code, group)
	}
	for _, version := range Versions {
		var list metav1.APIResourceList
		if code := traffic().get(t, "/"+version, &list); code != 200 || list.GroupVersion != Group+"/"+version || len(list.APIResources) != 2*len(kinds) {
			t.Errorf("%d %+v", code, list)
		}
	}
}

// Whatever the path, it is read or it is not there; and what is read comes from
// its parts.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"v1alpha2/pods", "v1alpha1/namespaces/a/edges", "v1alpha2/namespaces/a/pods/b/edges", "//", "v1alpha2/namespaces//pods"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, ok := readPath(strings.Split(path, "/"))
		if !ok {
			return
		}
		parts := strings.Split(path, "/")
		for _, part := range []string{r.Version, r.Kind.Resource, r.Namespace, r.Name} {
			if part != "" && !slices.Contains(parts, part) {
				t.Errorf("%q of %q", part, path)
			}
		}
		if r.Edges && r.Name == "" || r.Name != "" && r.Kind.Namespaced && r.Namespace == "" {
			t.Errorf("%q is %+v", path, r)
		}
		if err := r.readQuery(url.Values{}); err != nil {
			t.Error(err)
		}
	})
}
