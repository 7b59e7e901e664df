package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const brisk = `apiVersion: heddle.dev/v1alpha1
kind: Canary
metadata: {name: root}
spec:
  targetRef: {name: root}
  service: {port: 80, targetPort: 8080}
  analysis: {interval: 5s, latency: 10s, stepWeights: [30, 60]}
`

// TestReleasesLoseNoRequest: HEDDLE_RUNS good releases and as many bad ones, in five
// shops at a time that get 300 writes a second together, while pods of the primaries
// are deleted. A write is never tried twice. None may fail but for what a bad version
// itself answers.
func TestReleasesLoseNoRequest(t *testing.T) {
	runs := runs(t)
	if runs == 0 {
		t.Skip("takes long: set HEDDLE_RUNS to a number of releases")
	}
	const shops = 5
	var mu sync.Mutex
	promoted, rolledBack, deleted, writes, lost := 0, 0, 0, 0, 0
	t.Run("shops", func(t *testing.T) {
		for i := range shops {
			t.Run(fmt.Sprint("shop", i), func(t *testing.T) {
				t.Parallel()
				s := &shop{shoptest.Empty(t)}
				s.Apply(shoptest.Service("root", "app: root") +
					strings.Replace(shoptest.App("root", "root", "v0", "serve"), "spec:\n  selector", "spec:\n  replicas: 2\n  selector", 1))
				s.RolledOut("root")
				s.Load("POST", "http://root/", 60)
				s.Apply(brisk)
				s.phase("Idle")
				ctx, stop := context.WithCancel(t.Context())
				gone := make(chan int)
				go func() { gone <- s.churn(ctx) }()
				good, bad := 0, 0
				for n := i; n < runs && !t.Failed(); n += shops {
					s.Must("set", "env", "deployment/root", fmt.Sprintf("VERSION=good%d", n), "ERROR_RATE=0")
					s.phase("Progressing")
					s.phase("Succeeded")
					good++
					s.Must("set", "env", "deployment/root", fmt.Sprintf("VERSION=bad%d", n), "ERROR_RATE=0.5")
					s.phase("Progressing")
					s.phase("Failed")
					bad++
				}
				stop()
				churned := <-gone
				c := s.Loaded()
				byBad := 0
				for version, n := range c.ByVersion {
					if strings.HasPrefix(version, "bad") {
						byBad += n
					}
				}
				if c.Errors != 0 || c.ByCode["200"]+c.ByCode["500"] != c.Total || c.ByCode["500"] > byBad {
					t.Errorf("requests were lost: %+v", c)
				}
				mu.Lock()
				defer mu.Unlock()
				writes, lost = writes+c.Total, lost+c.Total-c.ByCode["200"]-c.ByCode["500"]
				promoted, rolledBack, deleted = promoted+good, rolledBack+bad, deleted+churned
			})
		}
	})
	t.Logf("%d promotions, %d rollbacks, %d pods deleted: %d writes, %d lost", promoted, rolledBack, deleted, writes, lost)
}

// churn deletes one pod of the primary after the other, and returns how many, when
// the context ends.
func (s *shop) churn(ctx context.Context) int {
	in := []string{"-n", s.Namespace}
	for deleted := 0; ; {
		select {
		case <-ctx.Done():
			return deleted
		case <-time.After(10 * time.Second): // as long as it takes between two accidents
		}
		_, _ = s.Kubectl(ctx, "", append(in, "rollout", "status", "deployment/root-primary", "--timeout=1m")...)
		names, err := s.Kubectl(ctx, "", append(in, "get", "pod", "-l", "app=root-primary", "--field-selector=status.phase=Running", "-o", "name")...)
		pods := strings.Fields(names)
		if err != nil || len(pods) < 2 {
			continue
		}
		if _, err := s.Kubectl(ctx, "", append(in, "delete", "--wait=false", pods[deleted%len(pods)])...); err == nil {
			deleted++
		}
	}
}
