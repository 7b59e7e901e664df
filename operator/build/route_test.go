package build

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func headers(t *testing.T, text string) *specsv1alpha4.Headers {
	t.Helper()
	out := &specsv1alpha4.Headers{}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHTTPMatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		match specsv1alpha4.HTTPMatch
		want  mesh.HTTPMatch
	}{
		"nothing but a name": {
			match: specsv1alpha4.HTTPMatch{Name: "m"}, want: mesh.HTTPMatch{Name: "m"},
		},
		"everything": {
			match: specsv1alpha4.HTTPMatch{Name: "m", PathRegex: "/a.*", Methods: []string{"GET", "PUT"}, Headers: headers(t, `{"X-B":"2","x-a":"1"}`)},
			// Conditions of a map come by the name as written.
			want: mesh.HTTPMatch{Name: "m", PathRegex: "/a.*", Methods: []string{"GET", "PUT"}, Headers: []mesh.HeaderMatch{
				{Name: "x-b", Regex: "2"}, {Name: "x-a", Regex: "1"},
			}},
		},
		"any method is no method": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Methods: []string{"*"}}, want: mesh.HTTPMatch{Name: "m"},
		},
		"any method whatever else is listed": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Methods: []string{"GET", "*"}}, want: mesh.HTTPMatch{Name: "m"},
		},
		"headers that ask for nothing": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Headers: headers(t, `{}`)}, want: mesh.HTTPMatch{Name: "m"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := httpMatch(tc.match)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
		})
	}
	for _, wrong := range []string{`["x"]`, `[{"x-a":"1"},{"X-A":"2"}]`} {
		if got, err := httpMatch(specsv1alpha4.HTTPMatch{Name: "m", Headers: headers(t, wrong)}); err == nil {
			t.Errorf("headers %s became %+v", wrong, got)
		}
	}
}

// A match that is wrong in any way holds for no request; the others stand.
func TestMatchesThatCanBeUsed(t *testing.T) {
	t.Parallel()
	objects := Objects{HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{group("g",
		specsv1alpha4.HTTPMatch{Name: "path", PathRegex: "/a("},
		specsv1alpha4.HTTPMatch{Name: "good", PathRegex: "/b"},
		specsv1alpha4.HTTPMatch{Name: "method", Methods: []string{"get"}},
		specsv1alpha4.HTTPMatch{Name: "header", Headers: headers(t, `{"x":"["}`)},
		specsv1alpha4.HTTPMatch{Name: "headers", Headers: headers(t, `"oops"`)},
		specsv1alpha4.HTTPMatch{Name: "good", PathRegex: "/c"},
		specsv1alpha4.HTTPMatch{PathRegex: "/d"},
	)}}
	got := usableOf(objects)
	if diff := cmp.Diff([]mesh.HTTPMatch{{Name: "good", PathRegex: "/b"}}, got); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
}

func TestFindingsOnRoutes(t *testing.T) {
	t.Parallel()
	ref := func(kind, name string) mesh.ObjectRef {
		return mesh.ObjectRef{Group: "specs.smi-spec.io", Version: "v1alpha4", Kind: kind, Namespace: ns, Name: name, Generation: 1, UID: "uid-" + name}
	}
	_, findings := built(t, Objects{
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{
			group("good", specsv1alpha4.HTTPMatch{Name: "a"}),
			group("bad",
				specsv1alpha4.HTTPMatch{Name: "a", Headers: headers(t, `1`)}, specsv1alpha4.HTTPMatch{Name: "b"},
				specsv1alpha4.HTTPMatch{Name: "c", PathRegex: "("}),
		},
		TCPRoutes: []*specsv1alpha4.TCPRoute{tcpRoute("good", 80), tcpRoute("bad", 80, 0)},
	})
	said(t, findings, ref("HTTPRouteGroup", "good"), good)
	said(t, findings, ref("TCPRoute", "good"), good)
	said(t, findings, ref("TCPRoute", "bad"), say{"!Accepted Invalid", "spec.matches.ports[1]: 0 is no port"})
	said(t, findings, ref("HTTPRouteGroup", "bad"), say{"!Accepted Invalid", "spec.matches[0].headers: headers must be a map"})
	said(t, findings, ref("HTTPRouteGroup", "bad"), say{"!Accepted Invalid", "; spec.matches[2].pathRegex: "})
}

// UDP goes past the mesh, so that a route of it is a wish that must not look
// fulfilled.
func TestUDPRoutesAreRefused(t *testing.T) {
	t.Parallel()
	dns := &specsv1alpha4.UDPRoute{ObjectMeta: meta("dns"), Spec: specsv1alpha4.UDPRouteSpec{Matches: specsv1alpha4.UDPMatch{Ports: []int{53}}}}
	rule := accessv1alpha3.TrafficTargetRule{Kind: accessv1alpha3.KindUDPRoute, Name: "dns"}
	snapshot, findings := built(t, Objects{
		UDPRoutes: []*specsv1alpha4.UDPRoute{dns}, TrafficTargets: []*accessv1alpha3.TrafficTarget{target("t", rule)},
	})
	said(t, findings, routeRef("dns", "UDPRoute"), say{"!Accepted Unsupported", "use a NetworkPolicy for UDP"})
	said(t, findings, targetRef("t"), good, say{"!ResolvedRefs Unsupported", "spec.rules[0].kind: UDPRoute is not enforced, so it grants nothing"})
	if policy := snapshot.Policies.Get(identity("web")); !policy.Closed || len(policy.Grants) > 0 {
		t.Errorf("policy: %+v", policy)
	}
}

func routeRef(name, kind string) mesh.ObjectRef {
	object := &specsv1alpha4.TCPRoute{ObjectMeta: meta(name)}
	return specRef(specKey(types.NamespacedName{Namespace: ns, Name: name}, kind), object)
}

// usableOf returns the matches that can be used of the group g.
func usableOf(objects Objects) []mesh.HTTPMatch {
	b := NewBuilder()
	b.Apply(objects.changes())
	return b.groups[types.NamespacedName{Namespace: ns, Name: "g"}].matches
}
