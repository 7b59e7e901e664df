package envoy

import (
	"cmp"
	"slices"
	"strconv"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	sslinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

type (
	predicate = xdsmatcherv3.Matcher_MatcherList_Predicate
	onMatch   = xdsmatcherv3.Matcher_OnMatch
)

// ambiguousPath finds paths that an application may read as another one than
// was judged: those that a second decoding changes, and those that
// normalisation would. A connection from before the policy looked at paths ends
// in a listener that normalises none, until it has drained; and a path of
// nothing but slashes keeps two of them.
const ambiguousPath = `(?i).*(\\|//|%2f|%5c|%25[0-9a-f]{2}|%(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])).*` +
	`|.*/\.{1,2}((;|%3b)[^/]*)?(/.*)?`

// httpRBAC compiles a policy for requests: a tree on the caller's SPIFFE id,
// so that the cost does not grow with the number of callers. Nil means that
// everything is admitted.
func httpRBAC(policy *mesh.Policy, trustDomain string) *rbacv3.RBAC {
	if !policy.Closed {
		return nil
	}
	tree := callerTree(policy, trustDomain, func(g mesh.Grant) *predicate { return requestPredicate(g) })
	if policy.ReadsPaths() {
		tree = &xdsmatcherv3.Matcher{
			MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
				Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
					Predicate: headerRegex(headerPath, ambiguousPath),
					OnMatch:   decide("ambiguous path", rbacconfigv3.RBAC_DENY),
				}},
			}},
			OnNoMatch: &onMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: tree}},
		}
	}
	return &rbacv3.RBAC{Matcher: tree}
}

// callerTree maps each caller to what it may do. A nil predicate holds
// always. Who is not in the map is denied.
func callerTree(policy *mesh.Policy, trustDomain string, condition func(mesh.Grant) *predicate) *xdsmatcherv3.Matcher {
	type caller struct {
		always bool
		any    []*predicate
	}
	callers := map[string]*caller{}
	for _, grant := range policy.Grants {
		holds := condition(grant)
		for _, source := range grant.Sources {
			id := source.SPIFFE(trustDomain)
			c := callers[id]
			if c == nil {
				c = &caller{}
				callers[id] = c
			}
			if holds == nil {
				c.always = true
			} else {
				c.any = append(c.any, holds)
			}
		}
	}
	allow := decide("granted", rbacconfigv3.RBAC_ALLOW)
	branches := make(map[string]*onMatch, len(callers))
	for id, c := range callers {
		if c.always {
			branches[id] = allow
			continue
		}
		branches[id] = &onMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: &xdsmatcherv3.Matcher{
			MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
				Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{Predicate: anyOf(c.any), OnMatch: allow}},
			}},
		}}}
	}
	if len(branches) == 0 {
		// The tree must not be empty; an id that nobody holds gets nothing.
		branches[peerIDs(nil, trustDomain)[0]] = decide("nobody", rbacconfigv3.RBAC_DENY)
	}
	return &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
			Input: matchInput("envoy.matching.inputs.uri_san", &sslinputv3.UriSanInput{}),
			TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: branches},
			},
		}},
	}
}

func decide(name string, action rbacconfigv3.RBAC_Action) *onMatch {
	return &onMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{Action: &xdscorev3.TypedExtensionConfig{
		Name: "action", TypedConfig: typed(&rbacconfigv3.Action{Name: name, Action: action}),
	}}}
}

// requestPredicate returns nil when the grant admits everything.
func requestPredicate(grant mesh.Grant) *predicate {
	var requests *predicate
	if len(grant.HTTP) > 0 {
		alternatives := make([]*predicate, 0, len(grant.HTTP))
		for _, match := range grant.HTTP {
			p := httpPredicate(match)
			if p == nil {
				alternatives = nil
				break
			}
			alternatives = append(alternatives, p)
		}
		requests = anyOf(alternatives)
	}
	return allOf(portsOf(grant.Ports), requests)
}

func httpPredicate(match mesh.HTTPMatch) *predicate {
	all := []*predicate{methodsOf(match.Methods)}
	if match.PathRegex != "" {
		all = append(all, headerRegex(headerPath, match.PathRegex))
	}
	headers := slices.Clone(match.Headers)
	slices.SortStableFunc(headers, func(a, b mesh.HeaderMatch) int { return cmp.Compare(a.Name, b.Name) })
	for _, h := range headers {
		all = append(all, headerRegex(h.Name, h.Regex))
	}
	return allOf(all...)
}

func methodsOf(methods []string) *predicate {
	all := make([]*predicate, 0, len(methods))
	for _, method := range methods {
		all = append(all, single(matchInput("method", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":method"}),
			&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: method}}))
	}
	return anyOf(all)
}

func portsOf(ports []uint16) *predicate {
	all := make([]*predicate, 0, len(ports))
	for _, port := range sortedPorts(ports) {
		all = append(all, single(matchInput("port", &networkinputv3.DestinationPortInput{}),
			&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{Exact: strconv.Itoa(int(port))}}))
	}
	return anyOf(all)
}

// headerRegex holds for a value that all of the expression matches. One that
// is empty matches the empty value; Envoy takes no empty expression.
func headerRegex(name, regex string) *predicate {
	if regex == "" {
		return single(matchInput("header", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: name}),
			&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_Exact{}})
	}
	return single(matchInput("header", &matcherv3.HttpRequestHeaderMatchInput{HeaderName: name}),
		&xdsmatcherv3.StringMatcher{MatchPattern: &xdsmatcherv3.StringMatcher_SafeRegex{SafeRegex: &xdsmatcherv3.RegexMatcher{
			EngineType: &xdsmatcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &xdsmatcherv3.RegexMatcher_GoogleRE2{}},
			Regex:      regex,
		}}})
}

func single(input *xdscorev3.TypedExtensionConfig, value *xdsmatcherv3.StringMatcher) *predicate {
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   input,
			Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: value},
		},
	}}
}

// anyOf returns nil for no predicates; Envoy wants at least two in a list.
func anyOf(all []*predicate) *predicate {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_OrMatcher{
		OrMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: all},
	}}
}

// allOf ignores nils, which hold always.
func allOf(all ...*predicate) *predicate {
	set := slices.DeleteFunc(slices.Clone(all), func(p *predicate) bool { return p == nil })
	switch len(set) {
	case 0:
		return nil
	case 1:
		return set[0]
	}
	return &predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher{
		AndMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: set},
	}}
}
