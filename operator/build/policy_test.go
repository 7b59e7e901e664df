package build

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// target returns a TrafficTarget that lets the account client call the account
// web by the rules.
func target(name string, rules ...accessv1alpha3.TrafficTargetRule) *accessv1alpha3.TrafficTarget {
	return &accessv1alpha3.TrafficTarget{ObjectMeta: meta(name), Spec: accessv1alpha3.TrafficTargetSpec{
		Destination: account("web"), Sources: []accessv1alpha3.IdentityBindingSubject{account("client")}, Rules: rules,
	}}
}

func account(name string) accessv1alpha3.IdentityBindingSubject {
	return accessv1alpha3.IdentityBindingSubject{Kind: "ServiceAccount", Name: name}
}

func changed(t *accessv1alpha3.TrafficTarget, change func(*accessv1alpha3.TrafficTargetSpec)) *accessv1alpha3.TrafficTarget {
	change(&t.Spec)
	return t
}

func byHTTP(name string, matches ...string) accessv1alpha3.TrafficTargetRule {
	return accessv1alpha3.TrafficTargetRule{Kind: "HTTPRouteGroup", Name: name, Matches: matches}
}

func byTCP(name string) accessv1alpha3.TrafficTargetRule {
	return accessv1alpha3.TrafficTargetRule{Kind: "TCPRoute", Name: name}
}

func group(name string, matches ...specsv1alpha4.HTTPMatch) *specsv1alpha4.HTTPRouteGroup {
	return &specsv1alpha4.HTTPRouteGroup{ObjectMeta: meta(name), Spec: specsv1alpha4.HTTPRouteGroupSpec{Matches: matches}}
}

func tcpRoute(name string, ports ...int) *specsv1alpha4.TCPRoute {
	return &specsv1alpha4.TCPRoute{ObjectMeta: meta(name), Spec: specsv1alpha4.TCPRouteSpec{Matches: specsv1alpha4.TCPMatch{Ports: ports}}}
}

func targetRef(name string) mesh.ObjectRef {
	return mesh.ObjectRef{Group: "access.smi-spec.io", Version: "v1alpha3", Kind: "TrafficTarget", Namespace: ns, Name: name, Generation: 1, UID: "uid-" + name}
}

// granted is a grant of the target t to client.
func granted(ports []uint16, matches ...mesh.HTTPMatch) mesh.Grant {
	return mesh.Grant{Origin: "TrafficTarget shop/t", Sources: []mesh.Identity{identity("client")}, Ports: ports, HTTP: matches}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	read, write := mesh.HTTPMatch{Name: "read", Methods: []string{"GET"}}, mesh.HTTPMatch{Name: "write", PathRegex: "/items/.*"}
	groups := []*specsv1alpha4.HTTPRouteGroup{
		group("items", specsv1alpha4.HTTPMatch{Name: "read", Methods: []string{"GET"}}, specsv1alpha4.HTTPMatch{Name: "write", PathRegex: "/items/.*"}),
		group("all", specsv1alpha4.HTTPMatch{Name: "all"}),
		group("empty"),
		group("broken", specsv1alpha4.HTTPMatch{Name: "bad", PathRegex: "("}),
		group("half", specsv1alpha4.HTTPMatch{Name: "bad", PathRegex: "("}, specsv1alpha4.HTTPMatch{Name: "read", Methods: []string{"GET"}}),
		group("twice", specsv1alpha4.HTTPMatch{Name: "x", PathRegex: "/a"}, specsv1alpha4.HTTPMatch{Name: "x", PathRegex: "/b"}),
	}
	tcpRoutes := []*specsv1alpha4.TCPRoute{
		tcpRoute("db", 5432, 5433), tcpRoute("web", 80, 5432), tcpRoute("any"), tcpRoute("wrong", 0, -1, 65536),
	}
	tests := map[string]struct {
		target *accessv1alpha3.TrafficTarget
		// want is nil where nothing is granted.
		want *mesh.Grant
		says []say
	}{
		"all matches of a group":       {target("t", byHTTP("items")), ptr(granted(nil, read, write)), []say{good, complete}},
		"a match by name":              {target("t", byHTTP("items", "write")), ptr(granted(nil, write)), []say{good, complete}},
		"two matches by name":          {target("t", byHTTP("items", "write", "read")), ptr(granted(nil, write, read)), []say{good, complete}},
		"two groups add up":            {target("t", byHTTP("items", "read"), byHTTP("all")), ptr(granted(nil, read, mesh.HTTPMatch{Name: "all"})), []say{good, complete}},
		"a match that admits all":      {target("t", byHTTP("all")), ptr(granted(nil, mesh.HTTPMatch{Name: "all"})), []say{good, complete}},
		"the first match of a name":    {target("t", byHTTP("twice", "x")), ptr(granted(nil, mesh.HTTPMatch{Name: "x", PathRegex: "/a"})), []say{good, complete}},
		"ports":                        {target("t", byTCP("db")), ptr(granted([]uint16{5432, 5433})), []say{good, complete}},
		"ports add up, ordered, once":  {target("t", byTCP("db"), byTCP("web")), ptr(granted([]uint16{80, 5432, 5433})), []say{good, complete}},
		"a route of any port":          {target("t", byTCP("any")), ptr(granted(nil)), []say{good, complete}},
		"any port beside some":         {target("t", byTCP("db"), byTCP("any")), ptr(granted(nil)), []say{good, complete}},
		"both kinds are one of each":   {target("t", byTCP("db"), byHTTP("items", "read")), ptr(granted([]uint16{5432, 5433}, read)), []say{good, complete}},
		"any port and a match":         {target("t", byTCP("any"), byHTTP("items", "read")), ptr(granted(nil, read)), []say{good, complete}},
		"no rule grants nothing":       {target("t"), nil, []say{good, complete}},
		"a group without a match":      {target("t", byHTTP("empty")), nil, []say{good, complete}},
		"a group of broken matches":    {target("t", byHTTP("broken")), nil, []say{good, complete}},
		"a group that is half broken":  {target("t", byHTTP("half")), ptr(granted(nil, read)), []say{good, complete}},
		"a broken match by name":       {target("t", byHTTP("half", "bad")), nil, []say{good, {"!ResolvedRefs MatchNotFound", `spec.rules[0].matches: HTTPRouteGroup shop/half has no usable match "bad"`}}},
		"a match that is not there":    {target("t", byHTTP("items", "delete")), nil, []say{good, {"!ResolvedRefs MatchNotFound", `"delete"`}}},
		"one that is not there of two": {target("t", byHTTP("items", "delete", "read")), ptr(granted(nil, read)), []say{good, {"!ResolvedRefs MatchNotFound", `"delete"`}}},
		"a group that is not there":    {target("t", byHTTP("nowhere")), nil, []say{good, {"!ResolvedRefs RouteNotFound", "spec.rules[0]: there is no HTTPRouteGroup shop/nowhere"}}},
		"a group that is not there beside a route: one of each can't be had": {
			target("t", byHTTP("nowhere"), byTCP("db")), nil, []say{good, {"!ResolvedRefs RouteNotFound", "HTTPRouteGroup"}},
		},
		"a route that is not there": {target("t", byTCP("nowhere")), nil, []say{good, {"!ResolvedRefs RouteNotFound", "spec.rules[0]: there is no TCPRoute shop/nowhere"}}},
		"a route that is not there beside a group: one of each can't be had": {
			target("t", byHTTP("items"), byTCP("nowhere")), nil, []say{good, {"!ResolvedRefs RouteNotFound", "spec.rules[1]: there is no TCPRoute"}},
		},
		"a route that is not there beside one that is": {target("t", byTCP("nowhere"), byTCP("db")), ptr(granted([]uint16{5432, 5433})), []say{good, {"!ResolvedRefs RouteNotFound", "TCPRoute"}}},
		"ports that are none are not any port":         {target("t", byTCP("wrong")), nil, []say{good, complete}},
		"ports that are none beside a group":           {target("t", byTCP("wrong"), byHTTP("items")), nil, []say{good, complete}},
		"a kind that is not enforced":                  {target("t", accessv1alpha3.TrafficTargetRule{Kind: "UDPRoute", Name: "x"}), nil, []say{good, {"!ResolvedRefs Unsupported", "spec.rules[0].kind: UDPRoute is not enforced"}}},
		"a kind that is not enforced beside one that is": {
			target("t", accessv1alpha3.TrafficTargetRule{Kind: "UDPRoute", Name: "x"}, byHTTP("items", "read")), ptr(granted(nil, read)), []say{good, {"!ResolvedRefs Unsupported", "UDPRoute"}},
		},
		"sources are ordered and come once, an empty namespace is the target's": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) {
				s.Sources = []accessv1alpha3.IdentityBindingSubject{
					account("z"), {Kind: "ServiceAccount", Name: "a", Namespace: "front"}, account("a"), {Kind: "ServiceAccount", Name: "z", Namespace: ns},
				}
			}),
			&mesh.Grant{Origin: "TrafficTarget shop/t", Sources: []mesh.Identity{{Namespace: "front", ServiceAccount: "a"}, identity("a"), identity("z")}},
			[]say{good, complete},
		},
		"no source is nobody": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) { s.Sources = nil }),
			&mesh.Grant{Origin: "TrafficTarget shop/t"},
			[]say{good, complete},
		},
		"a source that is no service account is nobody": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) {
				s.Sources = append(s.Sources, accessv1alpha3.IdentityBindingSubject{Kind: "User", Name: "x"})
			}),
			ptr(granted(nil)),
			[]say{good, {"!ResolvedRefs InvalidKind", `spec.sources[1].kind: "User" is not ServiceAccount`}},
		},
		"what is wrong with sources is said even where no rule grants": {
			changed(target("t", byTCP("nowhere")), func(s *accessv1alpha3.TrafficTargetSpec) { s.Sources[0].Kind = "Group" }),
			nil,
			[]say{good, {"!ResolvedRefs InvalidKind", `"Group" is not ServiceAccount, so it admits nobody; name a service account; spec.rules[0]: there is no TCPRoute shop/nowhere; create it`}},
		},
		"the namespace said is the target's own": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) { s.Destination.Namespace = ns }),
			ptr(granted(nil)),
			[]say{good, complete},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, findings := built(t, Objects{
				TrafficTargets: []*accessv1alpha3.TrafficTarget{tc.target}, HTTPRouteGroups: groups, TCPRoutes: tcpRoutes,
			})
			// Whatever it grants, a target closes its destination.
			want := map[mesh.Identity]*mesh.Policy{identity("web"): {Destination: identity("web"), Closed: true}}
			if tc.want != nil {
				want[identity("web")].Grants = []mesh.Grant{*tc.want}
			}
			if diff := cmp.Diff(want, maps.Collect(snapshot.Policies.All())); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
			said(t, findings, targetRef("t"), tc.says...)
		})
	}
}

func TestTargetsThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target *accessv1alpha3.TrafficTarget
		says   say
	}{
		"a destination in another namespace is its owner's to open": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) { s.Destination.Namespace = "bank" }),
			say{"!Accepted CrossNamespaceDestination", "only a TrafficTarget in namespace bank"},
		},
		"a destination that is no service account": {
			changed(target("t", byTCP("any")), func(s *accessv1alpha3.TrafficTargetSpec) { s.Destination.Kind = "Service" }),
			say{"!Accepted InvalidKind", `spec.destination.kind: "Service" is not ServiceAccount`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, findings := built(t, Objects{
				TrafficTargets: []*accessv1alpha3.TrafficTarget{tc.target}, TCPRoutes: []*specsv1alpha4.TCPRoute{tcpRoute("any")},
			})
			if snapshot.Policies.Len() > 0 {
				t.Errorf("policies: %+v", snapshot.Policies)
			}
			said(t, findings, targetRef("t"), tc.says)
		})
	}
}

func TestRoutesOfAnotherNamespaceAreNotFound(t *testing.T) {
	t.Parallel()
	g, r := group("items", specsv1alpha4.HTTPMatch{Name: "all"}), tcpRoute("any")
	g.Namespace, r.Namespace = "elsewhere", "elsewhere"
	snapshot, findings := built(t, Objects{
		TrafficTargets:  []*accessv1alpha3.TrafficTarget{target("t", byHTTP("items")), target("u", byTCP("any"))},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{g}, TCPRoutes: []*specsv1alpha4.TCPRoute{r},
	})
	if grants := snapshot.Policies.Get(identity("web")).Grants; len(grants) > 0 {
		t.Errorf("grants: %+v", grants)
	}
	said(t, findings, targetRef("t"), good, say{"!ResolvedRefs RouteNotFound", "shop/items"})
	said(t, findings, targetRef("u"), good, say{"!ResolvedRefs RouteNotFound", "shop/any"})
}

func TestTargetsOfOneDestinationAddUp(t *testing.T) {
	t.Parallel()
	other := changed(target("a", byHTTP("items")), func(s *accessv1alpha3.TrafficTargetSpec) {
		s.Sources = []accessv1alpha3.IdentityBindingSubject{account("other")}
	})
	snapshot, _ := built(t, Objects{
		TrafficTargets:  []*accessv1alpha3.TrafficTarget{target("b", byTCP("db")), other},
		HTTPRouteGroups: []*specsv1alpha4.HTTPRouteGroup{group("items", specsv1alpha4.HTTPMatch{Name: "all"})},
		TCPRoutes:       []*specsv1alpha4.TCPRoute{tcpRoute("db", 5432)},
	})
	want := &mesh.Policy{Destination: identity("web"), Closed: true, Grants: []mesh.Grant{
		{Origin: "TrafficTarget shop/a", Sources: []mesh.Identity{identity("other")}, HTTP: []mesh.HTTPMatch{{Name: "all"}}},
		{Origin: "TrafficTarget shop/b", Sources: []mesh.Identity{identity("client")}, Ports: []uint16{5432}},
	}}
	if diff := cmp.Diff(want, snapshot.Policies.Get(identity("web"))); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

// TestAccountsNamedAlike: a name means nothing without its namespace, neither
// a destination's nor a source's.
func TestAccountsNamedAlike(t *testing.T) {
	t.Parallel()
	elsewhere := target("t", byTCP("any"))
	elsewhere.Namespace = "bank"
	route := tcpRoute("any")
	route.Namespace = "bank"
	webOfBank := pod("web-1", "web", "10.1.0.2")
	webOfBank.Namespace = "bank"
	snapshot, _ := built(t, Objects{
		Pods:           []*corev1.Pod{pod("web-1", "web", "10.1.0.1"), webOfBank},
		TrafficTargets: []*accessv1alpha3.TrafficTarget{elsewhere},
		TCPRoutes:      []*specsv1alpha4.TCPRoute{route},
	})
	ofBank := mesh.Identity{Namespace: "bank", ServiceAccount: "web"}
	want := map[mesh.Identity]*mesh.Policy{
		identity("web"): {Destination: identity("web")},
		ofBank: {Destination: ofBank, Closed: true, Grants: []mesh.Grant{
			{Origin: "TrafficTarget bank/t", Sources: []mesh.Identity{{Namespace: "bank", ServiceAccount: "client"}}},
		}},
	}
	if diff := cmp.Diff(want, maps.Collect(snapshot.Policies.All())); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestAccessModes(t *testing.T) {
	t.Parallel()
	config := func(mode heddlev1alpha1.AccessMode) *heddlev1alpha1.MeshConfig {
		return &heddlev1alpha1.MeshConfig{Spec: heddlev1alpha1.MeshConfigSpec{Access: heddlev1alpha1.AccessSpec{Default: mode}}}
	}
	label := func(mode string) []*corev1.Namespace {
		return []*corev1.Namespace{namespace(ns, map[string]string{heddlev1alpha1.LabelAccess: mode})}
	}
	tests := map[string]struct {
		config     *heddlev1alpha1.MeshConfig
		namespaces []*corev1.Namespace
		// named and unnamed tell whether an account is closed that a target
		// names, and one that none does.
		named, unnamed bool
	}{
		"nothing said":                              {nil, nil, true, false},
		"AllowUnlessTargeted":                       {config(heddlev1alpha1.AccessAllowUnlessTargeted), nil, true, false},
		"Deny":                                      {config(heddlev1alpha1.AccessDeny), nil, true, true},
		"Allow":                                     {config(heddlev1alpha1.AccessAllow), nil, false, false},
		"the namespace denies":                      {config(heddlev1alpha1.AccessAllow), label("Deny"), true, true},
		"the namespace allows":                      {config(heddlev1alpha1.AccessDeny), label("Allow"), false, false},
		"the namespace allows unless targeted":      {config(heddlev1alpha1.AccessDeny), label("AllowUnlessTargeted"), true, false},
		"a mode that is misspelt denies":            {config(heddlev1alpha1.AccessAllow), label("allow"), true, true},
		"a mode that is empty denies":               {config(heddlev1alpha1.AccessAllow), label(""), true, true},
		"a namespace without a label is the mesh's": {config(heddlev1alpha1.AccessDeny), []*corev1.Namespace{namespace(ns, nil)}, true, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, findings := built(t, Objects{
				MeshConfig: tc.config, Namespaces: tc.namespaces,
				Pods:           []*corev1.Pod{pod("web-1", "web", "10.1.0.1"), pod("other-1", "other", "10.1.0.2"), pod("plain-1", "plain", "10.1.0.3", withoutSidecar)},
				TrafficTargets: []*accessv1alpha3.TrafficTarget{target("t", byTCP("any"))},
				TCPRoutes:      []*specsv1alpha4.TCPRoute{tcpRoute("any")},
			})
			want := map[mesh.Identity]*mesh.Policy{
				identity("web"):   {Destination: identity("web"), Closed: tc.named, Grants: []mesh.Grant{granted(nil)}},
				identity("other"): {Destination: identity("other"), Closed: tc.unnamed},
			}
			if diff := cmp.Diff(want, maps.Collect(snapshot.Policies.All())); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
			if got := snapshot.DefaultPolicy(ns); got != tc.unnamed {
				t.Errorf("an account without a policy is closed: %t", got)
			}
			said(t, findings, targetRef("t"), good, complete)
		})
	}
}
