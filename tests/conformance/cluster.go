package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// cluster is a namespace of a cluster with app-a, which calls, app-b and
// app-c, and Service app-svc in front of the two.
type cluster struct {
	options
	namespace string
	// changed is when the last change was begun: what is measured from here is
	// never less than what it took.
	changed time.Time
}

func newCluster(ctx context.Context, o options) (*cluster, error) {
	c := &cluster{options: o, namespace: fmt.Sprintf("conformance-%d", os.Getpid())}
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {heddle.dev/inject: enabled}}\n", c.namespace)
	for app, behind := range map[string]string{"app-a": "nothing", "app-b": "app-svc", "app-c": "app-svc"} {
		manifest += fmt.Sprintf(application, app, behind, o.image) + fmt.Sprintf(service, app, "app: "+app)
	}
	manifest += fmt.Sprintf(service, "app-svc", "behind: app-svc")
	if err := c.apply(ctx, manifest); err != nil {
		return nil, errors.Join(err, c.removed())
	}
	return c, nil
}

const service = `---
apiVersion: v1
kind: Service
metadata: {name: %s}
spec: {selector: {%s}, ports: [{name: http, port: 80, targetPort: 8080}]}
`

const application = `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s, behind: %[2]s}}
    spec:
      serviceAccountName: %[1]s
      containers:
      - name: app
        image: %[3]s
        imagePullPolicy: IfNotPresent
        args: [serve]
        env: [{name: NAME, value: %[1]s}, {name: VERSION, value: %[1]s}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
`

// remove does not wait, and works where the run has been interrupted.
func (c *cluster) remove() { _ = c.removed() }

func (c *cluster) removed() error {
	_, err := c.kubectl(context.Background(), "", "delete", "namespace", c.namespace, "--ignore-not-found", "--wait=false")
	return err
}

func (c *cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"-n", c.namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(complaints.Bytes()))
	}
	return string(out), nil
}

// apply is a change to be measured from.
func (c *cluster) apply(ctx context.Context, manifest string) error {
	c.changed = time.Now()
	_, err := c.kubectl(ctx, manifest, "apply", "-f", "-")
	return err
}

// change is one by another command.
func (c *cluster) change(ctx context.Context, args ...string) error {
	c.changed = time.Now()
	_, err := c.kubectl(ctx, "", args...)
	return err
}

// answers counts what came of a number of requests.
type answers struct {
	Total     int            `json:"total"`
	ByCode    map[string]int `json:"byCode"`
	ByVersion map[string]int `json:"byVersion"`
	Errors    int            `json:"errors"`
	LastError string         `json:"lastError"`
}

func (a answers) all(code string) bool { return a.Total > 0 && a.ByCode[code] == a.Total }

// share is the part of the answers that are the application's, all of them
// being answered; below zero where one was not.
func (a answers) share(app string) float64 {
	if !a.all("200") {
		return -1
	}
	return float64(a.ByVersion[app]) / float64(a.Total)
}

// ask has app-a send a number of requests. kubectl loses the output of an exec
// now and then, without an error: then they are sent again.
func (c *cluster) ask(ctx context.Context, n int, args ...string) (a answers, err error) {
	args = append([]string{"exec", "deployment/app-a", "-c", "app", "--", "/shop", "get", "-n", fmt.Sprint(n)}, args...)
	var out string
	for range 3 {
		if out, err = c.kubectl(ctx, "", args...); err != nil || out != "" {
			break
		}
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(out), &a)
}

// takes waits until what is asked is answered as it should be, and says how
// long that was after the last change. It is an error past the limit.
func (c *cluster) takes(ctx context.Context, as func(answers) bool, n int, args ...string) (time.Duration, error) {
	for times := 1; ; times++ {
		a, err := c.ask(ctx, n, args...)
		after := time.Since(c.changed)
		switch {
		case err != nil:
			return after, err
		case as(a):
			return after, nil
		case after > c.limit:
			return after, fmt.Errorf("not so within %s, asked %d times: %v: %+v", c.limit, times, args, a)
		}
	}
}
