package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const canaryOfRoot = `apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: root}
  service: {port: 80, targetPort: 8080}
  analysis: {interval: 10s, latency: 10s, threshold: 2, stepWeights: [30, 60]}
`

// reasons are those of the Events about the canary, in order.
func (s *shop) reasons() []string {
	s.T.Helper()
	return strings.Fields(s.Must("get", "events", "--field-selector=involvedObject.kind=Canary", "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[*].reason}"))
}

// phase waits until the canary root is in it.
func (s *shop) phase(want string) { s.T.Helper(); s.says("phase", want) }

// awaits waits until the canary root waits for that kind of hook.
func (s *shop) awaits(want string) { s.T.Helper(); s.says("awaits", want) }

func (s *shop) says(field, want string) {
	s.T.Helper()
	if out, err := s.Try("wait", "canaries.heddle.dev/root", "--for=jsonpath={.status."+field+"}="+want, "--timeout=4m"); err != nil {
		s.T.Fatalf("%s is not %s: %v %s\n%s", field, want, err, out, s.Must("get", "canaries.heddle.dev/root", "-o", "yaml"))
	}
	s.T.Log(strings.TrimSpace(s.Must("get", "canaries.heddle.dev", "root", "--no-headers")))
}

func TestCanaryPromotesAGoodReleaseAndRollsBackABadOne(t *testing.T) {
	s := newShop(t)
	s.Apply(shoptest.Service("root", "app: root") + shoptest.App("root", "root", "v1", "serve"))
	s.RolledOut("root")
	s.Load("GET", "http://root/", 50)
	s.Apply(canaryOfRoot)
	s.phase("Idle")

	s.Must("set", "env", "deployment/root", "VERSION=v2")
	s.phase("Progressing")
	s.phase("Succeeded")
	if c := s.Get(100, "http://root/"); c.ByVersion["v2"] != 100 {
		t.Errorf("after the promotion v2 answers everything: %+v", c)
	}
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 || c.ByVersion["v1"] == 0 || c.ByVersion["v2"] == 0 {
		t.Errorf("a good release loses no request: %+v", c)
	}

	s.Must("set", "env", "deployment/root", "VERSION=v3", "ERROR_RATE=0.5")
	s.phase("Progressing")
	s.phase("Failed")
	if c := s.Get(100, "http://root/"); c.ByVersion["v2"] != 100 {
		t.Errorf("after the rollback v2 answers everything: %+v", c)
	}
	c := s.Loaded()
	if failed := c.ByCode["500"]; c.Errors != 0 || c.ByCode["200"]+failed != c.Total || failed == 0 || failed > c.ByVersion["v3"] {
		t.Errorf("only answers of the bad version itself may be errors: %+v", c)
	}
	if got := s.reasons(); !slices.Contains(got, "Succeeded") || !slices.Contains(got, "RolledBack") {
		t.Errorf("Events tell of both ends: %v", got)
	}
}

func TestCanaryWithoutItsTargetSaysSo(t *testing.T) {
	s := newShop(t)
	s.Apply(strings.Replace(canaryOfRoot, "Deployment, name: root", "Deployment, name: nowhere", 1))
	s.Must("wait", "canaries.heddle.dev/root", "--for=condition=ResolvedRefs=false", "--timeout=30s")
	out := s.Must("get", "canaries.heddle.dev", "root", "-o", `jsonpath={.status.conditions[?(@.type=="ResolvedRefs")]}`)
	if !strings.Contains(out, "TargetNotFound") || !strings.Contains(out, s.Namespace+"/nowhere") {
		t.Errorf("the condition names neither reason nor Deployment: %s", out)
	}
}
