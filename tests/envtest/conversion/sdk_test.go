package conversion_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	access1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha1"
	access2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha2"
	access3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/access/v1alpha3"
	specs1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha1"
	specs2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha2"
	specs3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha3"
	specs4 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/specs/v1alpha4"
	split1 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha1"
	split2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha2"
	split3 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha3"
	split4 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/split/v1alpha4"
	sdkaccess "github.com/servicemeshinterface/smi-sdk-go/pkg/gen/client/access/clientset/versioned"
	sdkspecs "github.com/servicemeshinterface/smi-sdk-go/pkg/gen/client/specs/clientset/versioned"
	sdksplit "github.com/servicemeshinterface/smi-sdk-go/pkg/gen/client/split/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sdkClient is what the SDK's clients of all kinds and versions have.
type sdkClient[T any] interface {
	Create(context.Context, *T, metav1.CreateOptions) (*T, error)
	Update(context.Context, *T, metav1.UpdateOptions) (*T, error)
	Get(context.Context, string, metav1.GetOptions) (*T, error)
}

// asWritten compares what a user writes.
var asWritten = cmp.Options{
	cmpopts.IgnoreTypes(metav1.TypeMeta{}, metav1.ObjectMeta{}),
	cmp.Comparer(func(a, b resource.Quantity) bool { return a.String() == b.String() }),
}

// tool writes by the SDK's client of one version: it creates, edits where there
// is something to edit, reads, and knows no other version.
func tool[T any, P interface {
	*T
	metav1.Object
}](api sdkClient[T], written P, edit func(*T)) func(*testing.T, *cluster, string) {
	return func(t *testing.T, c *cluster, kind string) {
		t.Helper()
		newest := c.of(kind, versionName(versioned[kind].versions))
		seenAs := func() any {
			t.Helper()
			o, err := newest.Get(t.Context(), written.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return o.Object["spec"]
		}
		check := func(what string, want, got *T, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if diff := cmp.Diff(want, got, asWritten); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			if annotations := P(got).GetAnnotations(); len(annotations) > 0 {
				t.Errorf("%s has annotations %v", what, annotations)
			}
		}
		current, err := api.Create(t.Context(), written, metav1.CreateOptions{})
		check("created", written, current, err)
		if edit == nil {
			return
		}
		before := seenAs()
		edit(current)
		want := *current
		current, err = api.Update(t.Context(), current, metav1.UpdateOptions{})
		check("updated", &want, current, err)
		current, err = api.Get(t.Context(), written.GetName(), metav1.GetOptions{})
		check("read", &want, current, err)
		if after := seenAs(); cmp.Equal(before, after) {
			t.Errorf("readers of the newest version don't see the edit: %v", after)
		}
	}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "shop"} }

// fromJSON sets what the SDK has unexported types for.
func fromJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Tools are built with the SDK's types of one version; none of them notices
// that another is stored.
func TestToolsOfTheSDK(t *testing.T) {
	t.Parallel()
	c := running(t)
	split, access, specs := sdksplit.NewForConfigOrDie(c.config), sdkaccess.NewForConfigOrDie(c.config), sdkspecs.NewForConfigOrDie(c.config)
	half, one, port := resource.MustParse("500m"), resource.MustParse("1"), 8080
	group, headers := "specs.smi-spec.io", `{"name":"m","pathRegex":"/a","methods":["GET"],"headers":[{"x":"1"},{"y":"2"}]}`
	tests := map[string]map[string]func(*testing.T, *cluster, string){
		"TrafficSplit": {
			"v1alpha1": tool(split.SplitV1alpha1().TrafficSplits("shop"), &split1.TrafficSplit{
				ObjectMeta: named("sdk1"),
				Spec:       split1.TrafficSplitSpec{Service: "web", Backends: []split1.TrafficSplitBackend{{Service: "a", Weight: &half}, {Service: "b", Weight: &one}}},
			}, func(s *split1.TrafficSplit) { s.Spec.Backends[0].Weight = &one }),
			"v1alpha2": tool(split.SplitV1alpha2().TrafficSplits("shop"), &split2.TrafficSplit{
				ObjectMeta: named("sdk2"),
				Spec:       split2.TrafficSplitSpec{Service: "web", Backends: []split2.TrafficSplitBackend{{Service: "a", Weight: 0}, {Service: "b", Weight: 1}}},
			}, func(s *split2.TrafficSplit) { s.Spec.Backends[0].Weight = 9 }),
			"v1alpha3": tool(split.SplitV1alpha3().TrafficSplits("shop"), &split3.TrafficSplit{
				ObjectMeta: named("sdk3"),
				Spec: split3.TrafficSplitSpec{
					Service: "web", Backends: []split3.TrafficSplitBackend{{Service: "a", Weight: 1}},
					Matches: []corev1.TypedLocalObjectReference{{APIGroup: &group, Kind: "HTTPRouteGroup", Name: "g"}},
				},
			}, func(s *split3.TrafficSplit) { s.Spec.Matches = nil }),
			"v1alpha4": tool(split.SplitV1alpha4().TrafficSplits("shop"), &split4.TrafficSplit{
				ObjectMeta: named("sdk4"),
				Spec: split4.TrafficSplitSpec{
					Service: "web", Backends: []split4.TrafficSplitBackend{{Service: "a", Weight: 1}},
					Matches: []corev1.TypedLocalObjectReference{{APIGroup: &group, Kind: "HTTPRouteGroup", Name: "g"}},
				},
			}, func(s *split4.TrafficSplit) { s.Spec.Matches[0].Name = "h" }),
		},
		"TrafficTarget": {
			"v1alpha1": tool(access.AccessV1alpha1().TrafficTargets("shop"), &access1.TrafficTarget{
				ObjectMeta:  named("sdk1"),
				Destination: access1.IdentityBindingSubject{Kind: "ServiceAccount", Name: "cart", Port: 8080},
				Sources:     []access1.IdentityBindingSubject{{Kind: "ServiceAccount", Name: "web", Namespace: "shop"}},
				Specs:       []access1.TrafficTargetSpec{{Kind: "HTTPRouteGroup", Name: "g", Matches: []string{"m"}}, {Kind: "TCPRoute", Name: "t"}},
			}, func(a *access1.TrafficTarget) { a.Destination.Port = 9090 }),
			"v1alpha2": tool(access.AccessV1alpha2().TrafficTargets("shop"), &access2.TrafficTarget{
				ObjectMeta: named("sdk2"),
				Spec: access2.TrafficTargetSpec{
					Destination: access2.IdentityBindingSubject{Kind: "ServiceAccount", Name: "cart", Port: &port},
					Sources:     []access2.IdentityBindingSubject{{Kind: "ServiceAccount", Name: "web"}},
					Rules:       []access2.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "g"}},
				},
			}, func(a *access2.TrafficTarget) { a.Spec.Destination.Port = nil }),
			"v1alpha3": tool(access.AccessV1alpha3().TrafficTargets("shop"), &access3.TrafficTarget{
				ObjectMeta: named("sdk3"),
				Spec: access3.TrafficTargetSpec{
					Destination: access3.IdentityBindingSubject{Kind: "ServiceAccount", Name: "cart"},
					Sources:     []access3.IdentityBindingSubject{{Kind: "ServiceAccount", Name: "web"}},
					Rules:       []access3.TrafficTargetRule{{Kind: "HTTPRouteGroup", Name: "g"}, {Kind: "TCPRoute", Name: "t"}},
				},
			}, func(a *access3.TrafficTarget) { a.Spec.Rules = a.Spec.Rules[:1] }),
		},
		"HTTPRouteGroup": {
			"v1alpha1": tool(specs.SpecsV1alpha1().HTTPRouteGroups("shop"), &specs1.HTTPRouteGroup{
				ObjectMeta: named("sdk1"), Matches: []specs1.HTTPMatch{{Name: "m", PathRegex: "/a", Methods: []string{"GET"}}},
			}, func(g *specs1.HTTPRouteGroup) { g.Matches[0].Methods = nil }),
			"v1alpha2": tool(specs.SpecsV1alpha2().HTTPRouteGroups("shop"), &specs2.HTTPRouteGroup{
				ObjectMeta: named("sdk2"), Matches: []specs2.HTTPMatch{fromJSON[specs2.HTTPMatch](t, headers)},
			}, func(g *specs2.HTTPRouteGroup) { delete(g.Matches[0].Headers, "y") }),
			"v1alpha3": tool(specs.SpecsV1alpha3().HTTPRouteGroups("shop"), &specs3.HTTPRouteGroup{
				ObjectMeta: named("sdk3"), Spec: specs3.HTTPRouteGroupSpec{Matches: []specs3.HTTPMatch{fromJSON[specs3.HTTPMatch](t, headers)}},
			}, func(g *specs3.HTTPRouteGroup) { delete(g.Spec.Matches[0].Headers, "y") }),
			"v1alpha4": tool(specs.SpecsV1alpha4().HTTPRouteGroups("shop"), &specs4.HTTPRouteGroup{
				ObjectMeta: named("sdk4"), Spec: specs4.HTTPRouteGroupSpec{Matches: []specs4.HTTPMatch{fromJSON[specs4.HTTPMatch](t, headers)}},
			}, func(g *specs4.HTTPRouteGroup) { g.Spec.Matches[0].PathRegex = "/b" }),
		},
		"TCPRoute": {
			"v1alpha1": tool(specs.SpecsV1alpha1().TCPRoutes("shop"), &specs1.TCPRoute{ObjectMeta: named("sdk1")}, nil),
			"v1alpha2": tool(specs.SpecsV1alpha2().TCPRoutes("shop"), &specs2.TCPRoute{ObjectMeta: named("sdk2")}, nil),
			"v1alpha3": tool(specs.SpecsV1alpha3().TCPRoutes("shop"), &specs3.TCPRoute{ObjectMeta: named("sdk3")}, nil),
			"v1alpha4": tool(specs.SpecsV1alpha4().TCPRoutes("shop"), &specs4.TCPRoute{
				ObjectMeta: named("sdk4"), Spec: specs4.TCPRouteSpec{Matches: specs4.TCPMatch{Name: "n", Ports: []int{80, 90}}},
			}, func(r *specs4.TCPRoute) { r.Spec.Matches.Ports = []int{80} }),
		},
	}
	for kind, versions := range tests {
		if len(versions) != versioned[kind].versions {
			t.Errorf("%d versions of %s, want %d", len(versions), kind, versioned[kind].versions)
		}
		for version, run := range versions {
			t.Run(kind+" "+version, func(t *testing.T) {
				t.Parallel()
				run(t, c, kind)
			})
		}
	}
}

// UDPRoute has one version; the SDK forgot to register it, so its client can
// write one only as JSON.
func TestUDPRouteOfTheSDK(t *testing.T) {
	t.Parallel()
	c := running(t)
	want := specs4.UDPRoute{
		TypeMeta: metav1.TypeMeta{APIVersion: "specs.smi-spec.io/v1alpha4", Kind: "UDPRoute"}, ObjectMeta: named("sdk"),
		Spec: specs4.UDPRouteSpec{Matches: specs4.UDPMatch{Name: "n", Ports: []int{53}}},
	}
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.run(t.Context(), string(body), "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	text, err := c.run(t.Context(), "", "get", "-n", "shop", "ur", "sdk", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromJSON[specs4.UDPRoute](t, text), asWritten); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}
