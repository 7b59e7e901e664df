package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
)

const (
	shop = "shop"
	// shopProgram is the one program in the shop's image.
	shopProgram = "/shop"
	// statsPort is where the load generator tells what it saw.
	statsPort = 8090
)

// tally is what a client saw; the shop's program prints it as JSON.
type tally struct {
	Total int `json:"total"`
	// ByCode counts answers by HTTP status.
	ByCode map[string]int `json:"byCode"`
	// ByVersion counts answers by the version that gave them; what the mesh
	// answered is in none.
	ByVersion map[string]int `json:"byVersion"`
	// Errors counts requests without an answer.
	Errors int `json:"errors"`
	// LastError is what the mesh or the network said of one of them.
	LastError string `json:"lastError"`
}

// failed is how many requests did not get a good answer.
func (t tally) failed() int {
	n := t.Errors
	for code, count := range t.ByCode {
		if !strings.HasPrefix(code, "2") {
			n += count
		}
	}
	return n
}

// unanswered is how many requests no version of the app answered: those that
// failed on their way.
func (t tally) unanswered() int {
	n := t.Errors
	for _, count := range t.ByCode {
		n += count
	}
	for _, count := range t.ByVersion {
		n -= count
	}
	return n
}

// since is what was seen after the tally before was read.
func (t tally) since(before tally) tally {
	less := func(now, before map[string]int) map[string]int {
		out := map[string]int{}
		for key, n := range now {
			if n -= before[key]; n != 0 {
				out[key] = n
			}
		}
		return out
	}
	return tally{
		Total: t.Total - before.Total, Errors: t.Errors - before.Errors, LastError: t.LastError,
		ByCode: less(t.ByCode, before.ByCode), ByVersion: less(t.ByVersion, before.ByVersion),
	}
}

// podOf returns a ready pod of an app of the shop.
func (d *demo) podOf(ctx context.Context, app string) (*corev1.Pod, error) {
	list, err := d.kube.CoreV1().Pods(shop).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, fmt.Errorf("find a pod of %s: %w", app, err)
	}
	for i := range list.Items {
		p := &list.Items[i]
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				return p, nil
			}
		}
	}
	return nil, fmt.Errorf("no pod of %s is ready", app)
}

// call sends n requests from an app's pod and returns what came back.
func (d *demo) call(ctx context.Context, app string, n int, args ...string) (tally, error) {
	pod, err := d.podOf(ctx, app)
	if err != nil {
		return tally{}, err
	}
	argv := append([]string{shopProgram, "get", "-n", fmt.Sprint(n)}, args...)
	out, err := d.exec(ctx, pod.Name, argv...)
	if err != nil {
		return tally{}, err
	}
	var t tally
	if err := json.Unmarshal([]byte(out), &t); err != nil {
		return tally{}, fmt.Errorf("read what %s saw: %w in %q", app, err, out)
	}
	return t, nil
}

func (d *demo) exec(ctx context.Context, pod string, argv ...string) (string, error) {
	req := d.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(shop).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "shop", Command: argv, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	ex, err := remotecommand.NewSPDYExecutor(d.config, http.MethodPost, req.URL())
	if err != nil {
		return "", fmt.Errorf("exec in %s: %w", pod, err)
	}
	var out, errOut bytes.Buffer
	if err := ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut}); err != nil {
		return "", fmt.Errorf("exec %s in %s: %w: %s", strings.Join(argv, " "), pod, err, errOut.String())
	}
	return out.String(), nil
}

// loadStats asks the frontend's load generator what it has seen so far.
func (d *demo) loadStats(ctx context.Context) (tally, error) {
	pod, err := d.podOf(ctx, "frontend")
	if err != nil {
		return tally{}, err
	}
	var t tally
	err = d.forward(ctx, pod.Name, statsPort, func(address string) error {
		client := &http.Client{Timeout: 15 * time.Second}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/stats", nil)
		if err != nil {
			return fmt.Errorf("ask the load generator: %w", err)
		}
		res, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("ask the load generator: %w", err)
		}
		defer func() { _ = res.Body.Close() }()
		if err := json.NewDecoder(res.Body).Decode(&t); err != nil {
			return fmt.Errorf("read the load generator's answer: %w", err)
		}
		return nil
	})
	return t, err
}

// forward makes a pod's port reachable while use runs.
func (d *demo) forward(ctx context.Context, pod string, port int, use func(address string) error) error {
	transport, upgrader, err := spdy.RoundTripperFor(d.config)
	if err != nil {
		return fmt.Errorf("make port-forward: %w", err)
	}
	target := d.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(shop).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	stop, ready, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	defer close(stop)
	fw, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return fmt.Errorf("make port-forward: %w", err)
	}
	go func() { done <- fw.ForwardPorts() }()
	select {
	case err := <-done:
		return fmt.Errorf("forward port %d of %s: %w", port, pod, err)
	case <-time.After(15 * time.Second):
		return errors.New("forward a port: not ready after 15s")
	case <-ctx.Done():
		return ctx.Err()
	case <-ready:
	}
	ports, err := fw.GetPorts()
	if err != nil {
		return fmt.Errorf("forward port %d of %s: %w", port, pod, err)
	}
	return use(fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
}
