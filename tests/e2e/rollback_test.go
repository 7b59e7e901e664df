package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// hasty has a minute between two checks: no check is in time.
const hasty = `apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {name: root}
  service: {port: 80, targetPort: 8080}
  analysis: {interval: 60s, latency: 10s, stepWeights: [30]}
`

// TestABreachIsNotWaitedFor: a version whose requests fail is taken out of traffic
// before a check is due. HEDDLE_RUNS makes so many releases, five at a time, and a
// table of how long clients saw errors; then none may take 5 s.
func TestABreachIsNotWaitedFor(t *testing.T) {
	measured := runs(t)
	left := max(1, measured)
	var mu sync.Mutex
	var took []time.Duration
	t.Run("shops", func(t *testing.T) {
		for shops := min(left, 5); shops > 0; shops-- {
			mine := left / shops
			left -= mine
			t.Run(fmt.Sprint("shop", shops), func(t *testing.T) {
				t.Parallel()
				s := &shop{shoptest.Empty(t)}
				s.Apply(shoptest.Service("root", "app: root") + shoptest.App("root", "root", "v1", "serve"))
				s.RolledOut("root")
				s.Load("GET", "http://root/", 100)
				s.Apply(hasty)
				s.phase("Idle")
				for i := range mine {
					one := s.breach(fmt.Sprint("bad", i))
					mu.Lock()
					took = append(took, one)
					mu.Unlock()
				}
				if c := s.Loaded(); c.Errors != 0 || c.ByCode["200"]+c.ByCode["500"] != c.Total {
					t.Errorf("only the bad versions' own answers may be errors: %+v", c)
				}
			})
		}
	})
	slices.Sort(took)
	if len(took) > 0 {
		t.Logf("%d rollbacks; clients saw errors for p50 %s, p99 %s, at most %s", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	}
	if measured > 0 && (len(took) == 0 || took[len(took)-1] >= 5*time.Second) {
		t.Errorf("longest: %v", took)
	}
}

// runs is how many releases HEDDLE_RUNS asks for, 0 if it doesn't.
func runs(t *testing.T) int {
	t.Helper()
	asked := os.Getenv("HEDDLE_RUNS")
	if asked == "" {
		return 0
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 1 {
		t.Fatalf("HEDDLE_RUNS=%s is not a number of releases", asked)
	}
	return n
}

// breach releases a version half of whose answers are errors, and returns how long
// its errors reached clients.
func (s *shop) breach(version string) time.Duration {
	s.T.Helper()
	s.Must("set", "env", "deployment/root", "VERSION="+version, "ERROR_RATE=0.5")
	s.phase("Progressing")
	s.phase("Failed")
	if got := s.Must("get", "canaries.heddle.dev", "root", "-o", "jsonpath={.status.message}"); !strings.Contains(got, "requests failed within") {
		s.T.Errorf("it was a check that failed: %s", got)
	}
	failed, seen := s.Loaded().Failed[version]
	if !seen {
		s.T.Fatalf("%s has not served", version)
	}
	return failed.Last.Sub(failed.First).Round(10 * time.Millisecond)
}
