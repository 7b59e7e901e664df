package e2e

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const matchedCanary = `apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: insiders}
spec: {matches: [{name: header, headers: {x-insider: "1"}}]}
---
apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {name: root}
  service: {port: 80, targetPort: 8080}
  analysis:
    interval: 10s
    latency: 10s
    steps: [{weight: 0, matchRef: {name: insiders}, pause: true}, {weight: 50, pause: true}]
`

// TestCanaryShowsSomeACandidateFirst: only those that a match names get the
// candidate; when it is called off they get the primary like all others.
func TestCanaryShowsSomeACandidateFirst(t *testing.T) {
	s := newShop(t)
	s.Apply(shoptest.Service("root", "app: root") + shoptest.App("root", "root", "v1", "serve"))
	s.RolledOut("root")
	s.Apply(matchedCanary)
	status := func(field string) string {
		return s.Must("get", "canaries.heddle.dev", "root", "-o", "jsonpath={.status."+field+"}")
	}
	s.phase("Idle")
	s.Must("set", "env", "deployment/root", "VERSION=v2")
	insiders := func() shoptest.Counts { return s.Get(100, "-H", "x-insider:1", "http://root/") }
	s.Eventually("the step passes by what insiders see", func() bool {
		return insiders().ByVersion["v2"] > 0 && status("phase") == "Waiting"
	})
	if c := insiders(); c.ByVersion["v2"] != 100 {
		t.Errorf("insiders see only the candidate: %+v", c)
	}
	if c := s.Get(100, "http://root/"); c.ByVersion["v1"] != 100 {
		t.Errorf("others see only the primary: %+v", c)
	}
	if got := status("match"); got != "insiders" {
		t.Errorf("status.match = %q", got)
	}
	s.Must("annotate", "canaries.heddle.dev", "root", "heddle.dev/request=approve 1")
	s.Eventually("all are alike in a step without a match", func() bool {
		return insiders().Near("v2", 0.5) && s.Get(100, "http://root/").Near("v2", 0.5)
	})
	s.Must("annotate", "--overwrite", "canaries.heddle.dev", "root", "heddle.dev/request=abort 1")
	s.Must("wait", "canaries.heddle.dev/root", "--for=jsonpath={.status.phase}=Aborted", "--timeout=2m")
	for _, c := range []shoptest.Counts{insiders(), s.Get(100, "http://root/")} {
		if c.ByVersion["v1"] != 100 || c.Errors != 0 {
			t.Errorf("nobody sees a candidate that was called off: %+v", c)
		}
	}
	if got := s.Must("get", "trafficsplit", "root-match", "-o", "jsonpath={.spec.backends[*].weight}"); strings.TrimSpace(got) != "100 0" {
		t.Errorf("weights of the match: %s", got)
	}
}
