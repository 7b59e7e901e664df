package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const (
	// released is what is released. The name has a dash, which Open Service Mesh's own
	// metrics lost.
	released   = "shop-root"
	prometheus = "http://prometheus.heddle-system:9090"
)

// controller starts a program for the shop's namespace alone, until the test ends.
func controller(s *shoptest.Shop, namespace, account, image string, args ...string) {
	s.T.Helper()
	name := account + "-" + s.Namespace
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = strconv.Quote(arg)
	}
	system := &shoptest.Shop{T: s.T, Namespace: namespace}
	system.Apply(fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      serviceAccountName: %[2]s
      containers:
      - name: controller
        image: lab.local/%[3]s:1
        imagePullPolicy: IfNotPresent
        args: [%[4]s]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
`, name, account, image, strings.Join(quoted, ", ")))
	s.T.Cleanup(func() {
		if s.T.Failed() {
			out, _ := system.Kubectl(context.Background(), "", "-n", namespace, "logs", "deployment/"+name, "--tail=60")
			s.T.Log(out)
		}
		_, _ = system.Kubectl(context.Background(), "", "-n", namespace, "delete", "deployment", name, "--wait=false")
	})
	system.RolledOut(name)
}

// release is one that another program drives, by its object.
type release struct {
	*shoptest.Shop
	object string
	// weight is where its status says what weight it has set.
	weight string
}

func (r release) await(phase string) {
	r.T.Helper()
	r.Must("wait", r.object, "--for=jsonpath={.status.phase}="+phase, "--timeout=4m")
}

// shares measures, as long as the release goes on, which part of the requests the
// version answers, and compares it with the weight that the program says it has
// set. It returns what it has measured.
func (r release) shares(version string) (measured []string) {
	r.T.Helper()
	for {
		phase, before := r.status()
		if !slices.Contains([]string{"Progressing", "Waiting"}, phase) {
			if len(measured) == 0 {
				r.T.Error("no weight stayed for long enough to be measured")
			}
			return measured
		}
		if before == 0 {
			continue
		}
		share := r.share(version)
		if phase, after := r.status(); phase != "Progressing" || after != before {
			continue
		}
		measured = append(measured, r.compare(share, before))
	}
}

// status is the phase, and the weight of what is released in percent.
func (r release) status() (phase string, weight float64) {
	r.T.Helper()
	out := r.Must("get", r.object, "-o", "jsonpath={.status.phase} {"+r.weight+"}")
	phase, percent, _ := strings.Cut(out, " ")
	if percent == "" {
		return phase, 0
	}
	weight, err := strconv.ParseFloat(percent, 64)
	if err != nil {
		r.T.Fatalf("no status: %q", out)
	}
	return phase, weight
}

// share is which part of 10,000 requests the version answers, in percent, once every
// sidecar has the split as it is.
func (r release) share(version string) float64 {
	r.T.Helper()
	const programmed = `jsonpath={.metadata.generation} {.status.conditions[?(@.type=="Programmed")].observedGeneration} {.status.conditions[?(@.type=="Programmed")].status}`
	r.Eventually("the split is programmed", func() bool {
		now := strings.Fields(r.Must("get", "trafficsplit", released, "-o", programmed))
		return len(now) == 3 && now[0] == now[1] && now[2] == "True"
	})
	c := r.Get(10000, "-c", "4", "http://"+released+"/")
	return 100 * float64(c.ByVersion[version]) / float64(c.Total)
}

// compare fails if the share is not within 2 points of the weight, and says both.
func (r release) compare(share, weight float64) string {
	r.T.Helper()
	said := fmt.Sprintf("%.1f %% at %v", share, weight)
	if math.Abs(share-weight) > 2 {
		r.T.Errorf("measured %s", said)
	}
	return said
}

// all fails unless the version answers everything.
func (r release) all(version string) {
	r.T.Helper()
	if c := r.Get(100, "http://"+released+"/"); c.ByVersion[version] != 100 {
		r.T.Errorf("%s answers everything: %+v", version, c)
	}
}

// erred fails if the steady caller saw any error but those that the version itself has
// answered.
func (r release) erred(version string, measured []string) {
	r.T.Helper()
	c := r.Loaded()
	if failed := c.ByCode["500"]; c.Errors != 0 || c.ByCode["200"]+failed != c.Total || failed == 0 || failed > c.ByVersion[version] {
		r.T.Errorf("only answers of the bad version itself may be errors: %+v", c)
	}
	r.T.Logf("%d requests, %d answered by the version that errs; measured %s", c.Total, c.ByVersion[version], strings.Join(measured, ", "))
}

// untouched fails if anything of ours has written to the objects, but for status.
func (r release) untouched(objects ...string) {
	r.T.Helper()
	for _, object := range objects {
		var o struct {
			Metadata struct {
				ManagedFields []struct{ Manager, Subresource string }
			}
		}
		out := r.Must("get", object, "--show-managed-fields", "-o", "json")
		if err := json.Unmarshal([]byte(out), &o); err != nil || len(o.Metadata.ManagedFields) == 0 {
			r.T.Errorf("%s: %v in %s", object, err, out)
		}
		for _, m := range o.Metadata.ManagedFields {
			if strings.Contains(m.Manager, "heddle") && m.Subresource != "status" {
				r.T.Errorf("%s was written to by %s", object, m.Manager)
			}
		}
	}
}
