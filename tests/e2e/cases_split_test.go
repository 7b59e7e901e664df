package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// The cases here are reports from the field, by the numbers of
// docs/reference/conformance.md, that only a cluster can show. They share one
// namespace and follow each other.

// programmed applies a split and waits until every sidecar has it.
func (s *shop) programmed(name, version, spec string) {
	s.T.Helper()
	s.Apply(fmt.Sprintf("apiVersion: split.smi-spec.io/%s\nkind: TrafficSplit\nmetadata: {name: %s}\nspec: %s\n", version, name, spec))
	s.Must("wait", "--for=condition=Programmed", "trafficsplit/"+name, "--timeout=30s")
}

func TestCasesOfSplits(t *testing.T) {
	s := newShop(t)
	in := func(name string, test func(s *shop)) {
		t.Run(name, func(t *testing.T) { test(shopOf(t, s.Namespace)) })
	}
	in("CaseO1_TheRootsTargetPortIsNotDialled", func(s *shop) {
		s.Apply(strings.Replace(shoptest.Service("odd", "app: nobody"), "targetPort: 8080", "targetPort: 9999", 1))
		s.programmed("odd", "v1alpha4", "{service: odd, backends: [{service: cart-v1, weight: 50}, {service: cart-v2, weight: 50}]}")
		if c := s.Get(2000, "http://odd/"); !c.Near("v1", 0.5) || !c.Near("v2", 0.5) {
			s.T.Errorf("%+v", c)
		}
	})
	in("CaseO2_BackendsKeepTheirOwnNames", func(s *shop) {
		s.programmed("cart", "v1alpha4", "{service: cart, backends: [{service: cart-v1, weight: 0}, {service: cart-v2, weight: 100}]}")
		for host, version := range map[string]string{"cart": "v2", "cart-v1": "v1", "cart-v2": "v2"} {
			for _, form := range []string{host, host + ":80", host + "." + s.Namespace + ".svc.cluster.local"} {
				if c := s.Get(20, "http://"+form+"/"); c.ByVersion[version] != 20 {
					s.T.Errorf("%s: %+v", form, c)
				}
			}
		}
	})
	in("CaseO4_AWeightOf0IsNothing", func(s *shop) {
		for _, weights := range [][2]int{{100, 0}, {50, 50}, {0, 100}} {
			s.programmed("cart", "v1alpha4", fmt.Sprintf("{service: cart, backends: [{service: cart-v1, weight: %d}, {service: cart-v2, weight: %d}]}", weights[0], weights[1]))
			c := s.Get(2000, "http://cart/")
			if !c.Near("v1", float64(weights[0])/100) || weights[0] == 0 && c.ByVersion["v1"] > 0 || weights[1] == 0 && c.ByVersion["v2"] > 0 {
				s.T.Errorf("%v: %+v", weights, c)
			}
		}
	})
	in("CaseO9_OneBackendOfWeight0IsNotTheRoot", func(s *shop) {
		s.Apply("apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: cart}\nspec: {service: cart, backends: [{service: cart-v1, weight: 0}]}\n")
		s.Eventually("nothing is answered by an application", func() bool { return s.Get(20, "http://cart/").ByCode["503"] == 20 })
	})
	in("CaseO11_AWeightLeftOutIs0", func(s *shop) {
		s.programmed("cart", "v1alpha2", `{"service":"cart","backends":[{"service":"cart-v1"},{"service":"cart-v2","weight":100}]}`)
		if c := s.Get(2000, "http://cart/"); c.ByVersion["v2"] != 2000 {
			s.T.Errorf("%+v", c)
		}
		const want = `{"backends":[{"service":"cart-v1"},{"service":"cart-v2","weight":100}],"service":"cart"}`
		if got := s.Must("get", "trafficsplits.v1alpha2.split.smi-spec.io", "cart", "-o", "jsonpath={.spec}"); got != want {
			s.T.Errorf("stored is %s", got)
		}
	})
	in("CaseO13_WeightsBelow0AreRefused", func(s *shop) {
		out, err := s.TryApply("apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: bad}\nspec: {service: cart, backends: [{service: cart-v1, weight: -200}]}\n")
		if err == nil || !strings.Contains(out, "spec.backends[0].weight") {
			s.T.Errorf("%v: %s", err, out)
		}
	})
	in("CaseO76_HeadlessServicesAreCalledOverMutualTLS", func(s *shop) {
		s.Must("delete", "trafficsplit", "--all")
		s.Apply(strings.Replace(shoptest.Service("pods", "app: cart, version: v1"), "spec:\n", "spec:\n  clusterIP: None\n", 1))
		s.Must("label", "namespace", s.Namespace, "heddle.dev/mtls=Strict")
		// The port is the pod's own: nothing translates it.
		s.Eventually("the pod answers by the headless name", func() bool { return s.Get(20, "http://pods:8080/").ByVersion["v1"] == 20 })
		s.Eventually("and by its address", func() bool {
			return s.Get(20, "http://"+s.Must("get", "pod", "-l", "app=cart,version=v1", "-o", "jsonpath={.items[0].status.podIP}")+":8080/").ByVersion["v1"] == 20
		})
	})
	in("CaseO82_HeadersAsAListOrAMap", func(s *shop) {
		for form, headers := range map[string]string{"list": `[{x-team: "a.*"}, {x-role: ops}]`, "map": `{x-team: "a.*", x-role: ops}`} {
			s.Apply(fmt.Sprintf(`apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: cart}
spec: {matches: [{name: %s, headers: %s}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: cart}
spec:
  destination: {kind: ServiceAccount, name: cart}
  sources: [{kind: ServiceAccount, name: web}]
  rules: [{kind: HTTPRouteGroup, name: cart}]
`, form, headers))
			s.Eventually("one header alone is refused", func() bool { return s.Get(10, "-H", "x-team:a1", "http://cart/").ByCode["403"] == 10 })
			s.Eventually("both are let in", func() bool {
				return s.Get(10, "-H", "X-Team:a1", "-H", "X-Role:ops", "http://cart/").ByCode["200"] == 10
			})
			if got := s.Must("get", "httproutegroup", "cart", "-o", "jsonpath={.spec.matches[0].headers}"); strings.HasPrefix(got, "[") != (form == "list") {
				s.T.Errorf("the %s is stored as %s", form, got)
			}
		}
	})
}
