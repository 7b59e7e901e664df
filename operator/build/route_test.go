package build

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		// reason and says are of the error.
		reason, says string
	}{
		"nothing but a name": {
			match: specsv1alpha4.HTTPMatch{Name: "m"}, want: mesh.HTTPMatch{Name: "m"},
		},
		"everything": {
			match: specsv1alpha4.HTTPMatch{Name: "m", PathRegex: "/a.*", Methods: []string{"GET", "PUT"}, Headers: headers(t, `{"X-B":"2","x-a":"1"}`)},
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
		"a path that is no expression": {
			match: specsv1alpha4.HTTPMatch{Name: "m", PathRegex: "/a("}, reason: "InvalidRegex", says: "pathRegex: ",
		},
		"a path that is too long": {
			match: specsv1alpha4.HTTPMatch{Name: "m", PathRegex: strings.Repeat("a", 1025)}, reason: "InvalidRegex", says: "longer than 1024 bytes",
		},
		"a header that is no expression": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Headers: headers(t, `{"x-a":"["}`)}, reason: "InvalidRegex", says: "headers[x-a]: ",
		},
		"headers that are no headers": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Headers: headers(t, `["x"]`)}, reason: "Invalid", says: "headers: ",
		},
		"one header twice": {
			match: specsv1alpha4.HTTPMatch{Name: "m", Headers: headers(t, `[{"x-a":"1"},{"X-A":"2"}]`)}, reason: "Invalid", says: "twice",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, reason, err := httpMatch(tc.match)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || reason != tc.reason {
					t.Errorf("%s: %v, want %s: %s", reason, err, tc.reason, tc.says)
				}
				return
			}
			if err != nil || reason != "" {
				t.Fatalf("%s: %v", reason, err)
			}
			// Conditions of a map come by the name as written.
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("match (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindingsOnRoutes(t *testing.T) {
	t.Parallel()
	ref := func(kind, name string) mesh.ObjectRef {
		return mesh.ObjectRef{Group: "specs.smi-spec.io", Version: "v1alpha4", Kind: kind, Namespace: ns, Name: name, Generation: 1}
	}
	_, findings := built(t, Objects{
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{
			group("good", specsv1alpha4.HTTPMatch{Name: "a"}),
			group("bad",
				specsv1alpha4.HTTPMatch{Name: "a", Headers: headers(t, `1`)}, specsv1alpha4.HTTPMatch{Name: "b"},
				specsv1alpha4.HTTPMatch{Name: "c", PathRegex: "("}),
		},
		TCPRoutes: []*specsv1alpha4.TCPRoute{tcpRoute("good", 80)},
	})
	said(t, findings, ref("HTTPRouteGroup", "good"), good)
	said(t, findings, ref("TCPRoute", "good"), good)
	said(t, findings, ref("HTTPRouteGroup", "bad"), say{"!Accepted Invalid", "spec.matches[0] (a): headers"})
	said(t, findings, ref("HTTPRouteGroup", "bad"), say{"!Accepted Invalid", "; spec.matches[2] (c): pathRegex: "})
}
