package compat

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

// rollout releases in two steps. Between them somebody has to say that it may go on,
// and Prometheus is asked for the candidate's answers.
const rollout = `---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success}
spec:
  args: [{name: hash}]
  metrics:
  - name: success
    initialDelay: 10s
    interval: 5s
    count: 3
    successCondition: len(result) == 1 && result[0] >= 0.99
    provider:
      prometheus:
        address: %[1]s
        query: |
          sum(rate(osm_request_total{destination_namespace="%[2]s", destination_name="%[3]s-{{args.hash}}", response_code!~"5.*"}[20s]))
          / sum(rate(osm_request_total{destination_namespace="%[2]s", destination_name="%[3]s-{{args.hash}}"}[20s]))
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[3]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[3]s}}
  template:
    metadata: {labels: {app: %[3]s}}
    spec:
      terminationGracePeriodSeconds: 8
      containers:
      - name: app
        image: lab.local/shop:dev
        imagePullPolicy: IfNotPresent
        args: [serve]
        env: [{name: VERSION, value: v1}, {name: ERROR_RATE, value: "0"}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
  strategy:
    canary:
      stableService: %[3]s-stable
      canaryService: %[3]s-canary
      trafficRouting: {smi: {rootService: %[3]s, trafficSplitName: %[3]s}}
      steps:
      - setWeight: 25
      - pause: {}
      - analysis: {templates: [{templateName: success}], args: [{name: hash, valueFrom: {podTemplateHashValue: Latest}}]}
      - setWeight: 60
      - pause: {duration: 30s}
`

func TestArgoRollouts(t *testing.T) {
	t.Parallel()
	s := shoptest.Empty(t)
	controller(s, "argo-rollouts", "argo-rollouts", "argo-rollouts", "--namespaced", "--namespace="+s.Namespace)
	for _, name := range []string{released, released + "-stable", released + "-canary"} {
		s.Apply(shoptest.Service(name, "app: "+released))
	}
	s.Apply(fmt.Sprintf(rollout, prometheus, s.Namespace, released) + shoptest.App("web", "web", "v1", "serve"))
	s.RolledOut("web")
	r := release{s, "rollout.argoproj.io/" + released, ".status.canary.weights.canary.weight"}
	r.await("Healthy")
	s.Load("GET", "http://"+released+"/", 50)

	update := func(version, errors string) {
		s.Must("patch", r.object, "--type=json", "-p", fmt.Sprintf(`[
			{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": %q},
			{"op": "replace", "path": "/spec/template/spec/containers/0/env/1/value", "value": %q}]`, version, errors))
		r.await("Paused")
	}
	// What the plugin of kubectl writes.
	promote := func() {
		s.Must("patch", r.object, "--subresource=status", "--type=merge", "-p", `{"status": {"pauseConditions": null}}`)
	}
	abort := func() {
		s.Must("patch", r.object, "--subresource=status", "--type=merge", "-p", `{"status": {"abort": true}}`)
	}

	update("v2", "0")
	_, weight := r.status()
	measured := []string{r.compare(r.share("v2"), weight)}
	promote()
	r.Must("wait", r.object, "--for=jsonpath=.status.canary.weights.canary.weight=60", "--timeout=2m")
	measured = append(measured, r.compare(r.share("v2"), 60))
	r.await("Healthy")
	r.all("v2")
	if c := s.Loaded(); c.ByCode["200"] != c.Total || c.Errors != 0 {
		t.Errorf("a good release loses no request: %+v", c)
	}

	update("v3", "0.5")
	promote()
	r.await("Degraded")
	if out := s.Must("get", r.object, "-o", "jsonpath={.status.message}"); !strings.Contains(out, "success") {
		t.Errorf("it was not the analysis that ended it: %s", out)
	}
	r.all("v2")

	update("v4", "0")
	abort()
	r.await("Degraded")
	r.all("v2")
	r.erred("v3", measured)
	r.untouched("trafficsplit/"+released, "service/"+released, "service/"+released+"-canary")
}
