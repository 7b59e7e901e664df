package compat

import (
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// flagger is the program in a version, told to drive the mesh in one of its ways.
type flagger struct{ image, provider string }

// flaggers are all that are tested; of the short form only the first.
var flaggers = []flagger{
	{"flagger", "osm"},
	{"flagger", "smi:v1alpha1"},
	{"flagger", "smi:v1alpha2"},
	{"flagger", "smi:v1alpha3"},
	{"flagger", "linkerd"},
	{"flagger-1.36", "osm"},
	{"flagger-1.36", "smi:v1alpha2"},
}

// flaggerCanary releases in two steps, each long enough to measure 10,000 requests in.
const flaggerCanary = `apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: ` + released + `}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: ` + released + `}
  service: {port: 80, targetPort: 8080, portName: http}
  analysis:
    interval: 20s
    threshold: 2
    stepWeights: [25, 60]
    metrics:
    - {name: request-success-rate, interval: 20s, thresholdRange: {min: 99}}
    - {name: request-duration, interval: 20s, thresholdRange: {max: 500}}
`

func TestFlagger(t *testing.T) {
	t.Parallel()
	for _, f := range flaggers {
		t.Run(f.image+"_"+f.provider, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && f != flaggers[0] {
				t.Skip("left out of the short form: make compat")
			}
			testFlagger(t, f)
		})
	}
}

func testFlagger(t *testing.T, f flagger) {
	s := shoptest.Empty(t)
	f.run(s)
	s.Apply(shoptest.Service(released, "app: "+released) + shoptest.App(released, released, "v1", "serve") + shoptest.App("web", "web", "v1", "serve"))
	s.RolledOut(released, "web")
	// From before Flagger comes, who makes the Service another's.
	s.Load("GET", "http://"+released+"/", 50)
	s.Apply(flaggerCanary)
	r := release{s, "canary.flagger.app/" + released, ".status.canaryWeight"}
	r.await("Initialized")
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("requests fail while Flagger takes over: %+v", c)
	}

	s.Must("set", "env", "deployment/"+released, "VERSION=v2")
	r.await("Progressing")
	measured := r.shares("v2")
	r.await("Succeeded")
	r.all("v2")
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("a good release loses no request: %+v", c)
	}

	s.Must("set", "env", "deployment/"+released, "VERSION=v3", "ERROR_RATE=0.5")
	r.await("Progressing")
	r.await("Failed")
	s.Must("set", "env", "deployment/"+released, "VERSION=v4", "ERROR_RATE=0", "LATENCY=900ms")
	r.await("Progressing")
	r.await("Failed")
	r.all("v2")
	r.erred("v3", measured)
	r.untouched("trafficsplit/"+released, "service/"+released, "service/"+released+"-canary")
}

// run starts Flagger for the shop's namespace alone, until the test ends.
func (f flagger) run(s *shoptest.Shop) {
	s.T.Helper()
	controller(s, "flagger-system", "flagger", f.image,
		"-namespace="+s.Namespace, "-mesh-provider="+f.provider, "-metrics-server="+prometheus, "-log-level=info")
}

// Nobody calls: Flagger ends the release, saying why, and the old version serves.
func TestCaseO45_FlaggerWithoutTraffic(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("left out of the short form: make compat")
	}
	s := shoptest.Empty(t)
	flaggers[0].run(s)
	s.Apply(shoptest.Service(released, "app: "+released) + shoptest.App(released, released, "v1", "serve") + shoptest.App("web", "web", "v1", "serve"))
	s.RolledOut(released, "web")
	s.Apply(flaggerCanary)
	r := release{s, "canary.flagger.app/" + released, ".status.canaryWeight"}
	r.await("Initialized")
	s.Must("set", "env", "deployment/"+released, "VERSION=v2")
	r.await("Progressing")
	r.await("Failed")
	if out := s.Must("get", "events", "--field-selector=involvedObject.kind=Canary", "-o", "jsonpath={.items[*].message}"); !strings.Contains(out, "no values found") {
		t.Errorf("the events don't say why: %s", out)
	}
	r.all("v1")
}

// guarded waits for two gates, is scaled, and puts everything back when it goes.
const guarded = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: ` + released + `}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ` + released + `}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}]
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: ` + released + `}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: ` + released + `}
  autoscalerRef: {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, name: ` + released + `}
  revertOnDeletion: true
  service: {port: 80, targetPort: 8080, portName: http}
  analysis:
    interval: 10s
    threshold: 5
    stepWeights: [50]
    metrics: [{name: request-success-rate, interval: 20s, thresholdRange: {min: 99}}]
    webhooks:
    - {name: begin, type: confirm-rollout, url: "http://begin.NAMESPACE/"}
    - {name: end, type: confirm-promotion, url: "http://end.NAMESPACE/"}
`

// Flagger's gates, its copy of an autoscaler, and what it does when its Canary is
// deleted: none of it loses a request.
func TestFlaggerWithGatesAndAutoscaler(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("left out of the short form: make compat")
	}
	s := shoptest.Empty(t)
	flaggers[0].run(s)
	s.Apply(shoptest.Service(released, "app: "+released) + shoptest.App(released, released, "v1", "serve") + shoptest.App("web", "web", "v1", "serve") + shoptest.Gate("begin") + shoptest.Gate("end"))
	s.RolledOut(released, "web", "begin", "end")
	s.Load("GET", "http://"+released+"/", 50)
	s.Open("begin", true)
	s.Apply(strings.ReplaceAll(guarded, "NAMESPACE", s.Namespace))
	r := release{s, "canary.flagger.app/" + released, ".status.canaryWeight"}
	r.await("Initialized")
	if got := s.Must("get", "hpa", released+"-primary", "-o", "jsonpath={.spec.scaleTargetRef.name}"); got != released+"-primary" {
		t.Errorf("the primary's autoscaler scales %s", got)
	}
	s.Open("begin", false)
	s.Must("set", "env", "deployment/"+released, "VERSION=v2")
	r.await("Waiting")
	if c := s.Get(100, "http://"+released+"/"); c.ByVersion["v1"] != 100 {
		t.Errorf("behind a closed gate v1 answers everything: %+v", c)
	}
	s.Open("begin", true)
	r.await("WaitingPromotion")
	s.Open("end", true)
	r.await("Succeeded")
	r.all("v2")
	s.Must("delete", "canary.flagger.app/"+released, "--timeout="+shoptest.Patience.String())
	s.RolledOut(released)
	r.all("v2")
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("no request is lost, from the takeover until Flagger has gone: %+v", c)
	}
}
