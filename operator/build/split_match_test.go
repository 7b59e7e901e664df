package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// matching has the split act on the requests that the groups describe.
func matching(s *splitv1alpha4.TrafficSplit, groups ...string) *splitv1alpha4.TrafficSplit {
	for _, name := range groups {
		s.Spec.Matches = append(s.Spec.Matches, splitv1alpha4.TrafficSplitMatch{Kind: "HTTPRouteGroup", Name: name})
	}
	return s
}

func since(s *splitv1alpha4.TrafficSplit, seconds int) *splitv1alpha4.TrafficSplit {
	s.CreationTimestamp = later(seconds)
	return s
}

func TestSplitsWithMatches(t *testing.T) {
	t.Parallel()
	beta := group("beta",
		specsv1alpha4.HTTPMatch{Name: "header", Headers: specsv1alpha4.HeadersFromMap(map[string]string{"X-Beta": "yes"})},
		specsv1alpha4.HTTPMatch{Name: "path", PathRegex: "/beta/.*", Methods: []string{"GET", "HEAD"}})
	insiders := group("insiders", specsv1alpha4.HTTPMatch{Name: "cookie", Methods: []string{"*"}, Headers: specsv1alpha4.HeadersFromMap(map[string]string{"cookie": ".*insider.*"})})
	half := group("half", specsv1alpha4.HTTPMatch{Name: "bad", PathRegex: "("}, specsv1alpha4.HTTPMatch{Name: "good", PathRegex: "/x"})
	header := mesh.HTTPMatch{Name: "header", Headers: []mesh.HeaderMatch{{Name: "x-beta", Regex: "yes"}}}
	path := mesh.HTTPMatch{Name: "path", PathRegex: "/beta/.*", Methods: []string{"GET", "HEAD"}}
	cookie := mesh.HTTPMatch{Name: "cookie", Headers: []mesh.HeaderMatch{{Name: "cookie", Regex: ".*insider.*"}}}
	by := func(origin, backend string, matches ...mesh.HTTPMatch) *mesh.Route {
		return &mesh.Route{Origin: "TrafficSplit shop/" + origin, Matches: matches, Shares: []mesh.Share{share(backend, 1)}}
	}
	wrong := func(apiGroup *string, kind string) *splitv1alpha4.TrafficSplit {
		s := split("s", "v1=1")
		s.Spec.Matches = []splitv1alpha4.TrafficSplitMatch{{APIGroup: apiGroup, Kind: kind, Name: "beta"}}
		return s
	}
	tests := map[string]struct {
		splits  []*splitv1alpha4.TrafficSplit
		matched []*mesh.Route
		route   *mesh.Route
		says    map[string][]say
	}{
		"what a group describes, any of its matches": {
			splits:  []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "beta")},
			matched: []*mesh.Route{by("s", "v1", header, path)},
			says:    map[string][]say{"s": {good, complete}},
		},
		"what any of several groups describes": {
			splits:  []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "beta", "insiders")},
			matched: []*mesh.Route{by("s", "v1", header, path, cookie)},
			says:    map[string][]say{"s": {good, complete}},
		},
		"the group of the specification, named": {
			splits:  []*splitv1alpha4.TrafficSplit{wrong(ptr("specs.smi-spec.io"), "HTTPRouteGroup")},
			matched: []*mesh.Route{by("s", "v1", header, path)},
			says:    map[string][]say{"s": {good, complete}},
		},
		"no group named": {
			splits:  []*splitv1alpha4.TrafficSplit{wrong(ptr(""), "HTTPRouteGroup")},
			matched: []*mesh.Route{by("s", "v1", header, path)},
			says:    map[string][]say{"s": {good, complete}},
		},
		"the oldest is tried first, and one without matches last": {
			splits: []*splitv1alpha4.TrafficSplit{
				split("a", "v2=1"), since(matching(split("b", "v1=1"), "beta"), 2), since(matching(split("c", "v2=1"), "insiders"), 1),
			},
			matched: []*mesh.Route{by("c", "v2", cookie), by("b", "v1", header, path)},
			route:   by("a", "v2"),
			says:    map[string][]say{"a": {good, complete}, "b": {good, complete}, "c": {good, complete}},
		},
		"one with matches is in nobody's way": {
			splits: []*splitv1alpha4.TrafficSplit{
				matching(split("a", "v1=1"), "nowhere"), since(split("b", "v2=1"), 1), since(split("c", "v1=1"), 2),
			},
			route: by("b", "v2"),
			says: map[string][]say{
				"a": {good, {"!ResolvedRefs RouteNotFound", "spec.matches[0]: there is no HTTPRouteGroup shop/nowhere, which matches nothing"}},
				"b": {good, complete}, "c": {good, {"Conflicted OlderSplit", "TrafficSplit shop/b is older"}},
			},
		},
		"a group that is missing takes nothing from the other": {
			splits:  []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "nowhere", "insiders")},
			matched: []*mesh.Route{by("s", "v1", cookie)},
			says:    map[string][]say{"s": {good, {"!ResolvedRefs RouteNotFound", "spec.matches[0]"}}},
		},
		"a group without a match matches nothing": {
			splits: []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "empty")},
			says:   map[string][]say{"s": {good, {"!ResolvedRefs MatchNotFound", "HTTPRouteGroup shop/empty has no usable match"}}},
		},
		"a match that can't be used matches nothing, the others do": {
			splits:  []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "half")},
			matched: []*mesh.Route{by("s", "v1", mesh.HTTPMatch{Name: "good", PathRegex: "/x"})},
			says:    map[string][]say{"s": {good, complete}},
		},
		"another kind matches nothing": {
			splits: []*splitv1alpha4.TrafficSplit{wrong(nil, "TCPRoute")},
			says:   map[string][]say{"s": {good, {"!ResolvedRefs InvalidKind", `"TCPRoute" of "specs.smi-spec.io" is not HTTPRouteGroup`}}},
		},
		"the kind of another API matches nothing": {
			splits: []*splitv1alpha4.TrafficSplit{wrong(ptr("apps"), "HTTPRouteGroup")},
			says:   map[string][]say{"s": {good, {"!ResolvedRefs InvalidKind", `"HTTPRouteGroup" of "apps"`}}},
		},
		"a weight of nothing answers what is described with 503": {
			splits: []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=0"), "insiders")},
			matched: []*mesh.Route{{
				Origin: "TrafficSplit shop/s", Matches: []mesh.HTTPMatch{cookie}, Shares: []mesh.Share{share("v1", 0)},
			}},
			says: map[string][]say{"s": {{"!Accepted AllWeightsZero", "every request of the split"}, complete}},
		},
		"a negative weight refuses the split": {
			splits: []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=-1"), "insiders")},
			says:   map[string][]say{"s": {{"!Accepted InvalidWeight", "-1 is negative"}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services := []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2"), service("v2", "10.96.0.3")}
			snapshot, findings := built(t, Objects{
				Services: services, EndpointSlices: backing(services...), TrafficSplits: tc.splits,
				HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{beta, insiders, half, group("empty")},
			})
			want := &mesh.Port{Key: portKey("web", 80), Number: 80, Matched: tc.matched, Route: tc.route}
			if diff := cmp.Diff(want, snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports[0]); diff != "" {
				t.Errorf("port (-want +got):\n%s", diff)
			}
			for name, says := range tc.says {
				said(t, findings, splitRef(name), says...)
			}
		})
	}
}

// The group is that of the split's namespace.
func TestAGroupOfAnotherNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	elsewhere := group("beta", specsv1alpha4.HTTPMatch{Name: "all"})
	elsewhere.Namespace = "elsewhere"
	services := []*corev1.Service{service("web", "10.96.0.1"), service("v1", "10.96.0.2")}
	snapshot, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...),
		TrafficSplits:   []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "beta")},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{elsewhere},
	})
	if port := snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"}).Ports[0]; port.Split() {
		t.Errorf("port %+v", port)
	}
	said(t, findings, splitRef("s"), good, say{"!ResolvedRefs RouteNotFound", "HTTPRouteGroup shop/beta"})
}

func TestConnectionsMatchNothing(t *testing.T) {
	t.Parallel()
	ports := []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "tcp-raw", Port: 81}}
	services := []*corev1.Service{service("web", "10.96.0.1", ports...), service("v1", "10.96.0.2", ports...)}
	snapshot, findings := built(t, Objects{
		Services: services, EndpointSlices: backing(services...),
		TrafficSplits:   []*splitv1alpha4.TrafficSplit{matching(split("s", "v1=1"), "all")},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{group("all", specsv1alpha4.HTTPMatch{Name: "all"})},
	})
	web := snapshot.Services.Get(mesh.ServiceKey{Namespace: ns, Name: "web"})
	if !web.Ports[0].Split() || web.Ports[1].Split() {
		t.Errorf("requests are split: %t, connections: %t", web.Ports[0].Split(), web.Ports[1].Split())
	}
	said(t, findings, splitRef("s"), good, say{"!ResolvedRefs PortMismatch", "port 81 of Service shop/web is TCP, and connections match nothing"})
}

// Whatever is wrong with a split's matches or with what they name, requests
// that no match describes go where they would go without that split.
func TestASplitWithMatchesTakesOnlyWhatTheyDescribe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objects := anyObjects(t)
		all, _ := Build(objects)
		groupless := objects
		groupless.HTTPRouteGroups = nil
		matchless := objects
		matchless.TrafficSplits = nil
		for _, s := range objects.TrafficSplits {
			if len(s.Spec.Matches) == 0 {
				matchless.TrafficSplits = append(matchless.TrafficSplits, s)
			}
		}
		for what, fewer := range map[string]Objects{"the groups": groupless, "the splits with matches": matchless} {
			without, _ := Build(fewer)
			for key, s := range all.Services.All() {
				for i, port := range s.Ports {
					other := without.Services.Get(key).Ports[i]
					if len(other.Matched) > 0 {
						t.Errorf("without %s port %s has %+v", what, port.Key, other.Matched)
					}
					if diff := cmp.Diff(other.Route, port.Route); diff != "" {
						t.Errorf("route of %s (-without %s +with):\n%s", port.Key, what, diff)
					}
				}
			}
		}
	})
}
