package e2e

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const checkedCanary = `apiVersion: heddle.dev/v1alpha1
kind: MetricTemplate
metadata: {name: rate}
spec:
  query: |
    sum(rate({__name__=~"(envoy_)?heddle_request_total", destination_namespace="{{ namespace }}", destination_name="{{ target }}"}[{{ interval }}]))
---
apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {name: root}
  service: {port: 80, targetPort: 8080}
  analysis:
    interval: 10s
    latency: 10s # how fast the machine is doesn't matter here
    stepWeights: [50]
    checks:
    - {name: rate, templateRef: {name: rate}, interval: 30s, min: "0.5", max: 1000}
    hooks:
    - {name: ticket, type: confirm-promotion, url: "http://gate/"}
    - {name: panic, type: rollback, url: "http://alarm/"}
    - {name: tally, type: event, url: "http://tally/"}
`

// TestCanaryAsksHooksAndChecks: a release is judged by a query of its own, waits
// at a closed gate, goes on when it opens, and is rolled back by a hook while it
// waits.
func TestCanaryAsksHooksAndChecks(t *testing.T) {
	s := newShop(t)
	short := "." + s.Namespace
	s.Apply(shoptest.Service("root", "app: root") + shoptest.App("root", "root", "v1", "serve") +
		shoptest.Gate("gate") + shoptest.Gate("alarm") + shoptest.Service("tally", "app: tally") + shoptest.App("tally", "tally", "v1", "serve"))
	s.RolledOut("root", "gate", "alarm", "tally")
	s.Load("GET", "http://root/", 50)
	s.Apply(strings.NewReplacer("//gate/", "//gate"+short+"/", "//alarm/", "//alarm"+short+"/", "//tally/", "//tally"+short+"/").Replace(checkedCanary))
	s.phase("Idle")

	s.Must("set", "env", "deployment/root", "VERSION=v2")
	s.awaits("confirm-promotion")
	if got := s.Must("get", "canaries.heddle.dev", "root", "-o", "jsonpath={.status.message} {.status.weight}"); !strings.Contains(got, "rate ") || !strings.HasSuffix(got, " 50") {
		t.Errorf("it waits and says what was measured: %s", got)
	}
	s.Open("gate", true)
	s.phase("Succeeded")

	s.Open("gate", false)
	s.Must("set", "env", "deployment/root", "VERSION=v3")
	s.awaits("confirm-promotion")
	s.Open("alarm", true)
	s.phase("Failed")
	if got := s.Must("get", "canaries.heddle.dev", "root", "-o", "jsonpath={.status.message}"); !strings.Contains(got, "hook panic asks for a rollback") {
		t.Errorf("it says who wanted it: %s", got)
	}
	if c := s.Get(100, "http://root/"); c.ByVersion["v2"] != 100 {
		t.Errorf("after the rollback v2 answers everything: %+v", c)
	}
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("no request is lost: %+v", c)
	}
}
