package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const canaryOfRoot = `apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: root}
  service: {port: 80, targetPort: 8080}
  analysis: {interval: 10s, threshold: 2, stepWeights: [30, 60]}
`

// loadCounts is what the steady caller has seen so far.
func (s *shop) loadCounts() counts {
	s.t.Helper()
	pod, _ := s.podOf("load")
	out := s.must("get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8090/proxy/stats", s.namespace, pod))
	var c counts
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		s.t.Fatalf("%v in %q", err, out)
	}
	return c
}

// reasons are those of the Events about the canary, in order.
func (s *shop) reasons() []string {
	s.t.Helper()
	return strings.Fields(s.must("get", "events", "--field-selector=involvedObject.kind=Canary", "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[*].reason}"))
}

func TestCanaryPromotesAGoodReleaseAndRollsBackABadOne(t *testing.T) {
	s := newShop(t)
	load := strings.NewReplacer("containerPort: 8080", "containerPort: 8090", "/healthz", "/stats").
		Replace(app("load", "load", "v1", `load, -u, "http://root/", -rps, "50"`))
	s.apply(service("root", "app: root") + app("root", "root", "v1", "serve"))
	s.must("rollout", "status", "deployment/root", "--timeout="+patience.String())
	s.apply(load)
	s.must("rollout", "status", "deployment/load", "--timeout="+patience.String())
	s.apply(canaryOfRoot)
	phase := func(want string) {
		t.Helper()
		s.must("wait", "canary/root", "--for=jsonpath={.status.phase}="+want, "--timeout=4m")
		t.Log(strings.TrimSpace(s.must("get", "canary", "root", "--no-headers")))
	}
	phase("Idle")

	s.must("set", "env", "deployment/root", "VERSION=v2")
	phase("Progressing")
	phase("Succeeded")
	if c := s.get(100, "http://root/"); c.ByVersion["v2"] != 100 {
		t.Errorf("after the promotion v2 answers everything: %+v", c)
	}
	if c := s.loadCounts(); c.ByCode["200"] != c.Total || c.Errors != 0 || c.ByVersion["v1"] == 0 || c.ByVersion["v2"] == 0 {
		t.Errorf("a good release loses no request: %+v", c)
	}

	s.must("set", "env", "deployment/root", "VERSION=v3", "ERROR_RATE=0.5")
	phase("Progressing")
	phase("Failed")
	if c := s.get(100, "http://root/"); c.ByVersion["v2"] != 100 {
		t.Errorf("after the rollback v2 answers everything: %+v", c)
	}
	c := s.loadCounts()
	if failed := c.ByCode["500"]; c.Errors != 0 || c.ByCode["200"]+failed != c.Total || failed == 0 || failed > c.ByVersion["v3"] {
		t.Errorf("only answers of the bad version itself may be errors: %+v", c)
	}
	if got := s.reasons(); !slices.Contains(got, "Succeeded") || !slices.Contains(got, "RolledBack") {
		t.Errorf("Events tell of both ends: %v", got)
	}
}

func TestCanaryWithoutItsTargetSaysSo(t *testing.T) {
	s := newShop(t)
	s.apply(strings.Replace(canaryOfRoot, "Deployment, name: root", "Deployment, name: nowhere", 1))
	s.must("wait", "canary/root", "--for=condition=ResolvedRefs=false", "--timeout=30s")
	out := s.must("get", "canary", "root", "-o", `jsonpath={.status.conditions[?(@.type=="ResolvedRefs")]}`)
	if !strings.Contains(out, "TargetNotFound") || !strings.Contains(out, s.namespace+"/nowhere") {
		t.Errorf("the condition names neither reason nor Deployment: %s", out)
	}
}
