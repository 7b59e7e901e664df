package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/heddle-mesh/heddle/sidecar/xds"
)

// debugPort is where the operator answers on its loopback interface only: who
// may forward ports to its pod may ask, nobody else.
const debugPort = 15014

// maxDebugAnswer bounds what is read from an operator.
const maxDebugAnswer = 64 << 20

// askProxies forwards a local port to the operator pod and asks it which
// proxies it serves.
func askProxies(ctx context.Context, config *rest.Config, kube kubernetes.Interface, namespace, pod string) (xds.ProxyList, error) {
	var list xds.ProxyList
	err := forward(ctx, config, kube, namespace, pod, debugPort, func(ctx context.Context, address string) error {
		return getJSON(ctx, "http://"+address+"/debug/proxies", &list)
	})
	if err != nil {
		return xds.ProxyList{}, fmt.Errorf("ask %s/%s for its proxies: %w", namespace, pod, err)
	}
	return list, nil
}

// forward calls use with an address at which the pod's port can be reached
// until use returns.
func forward(ctx context.Context, config *rest.Config, kube kubernetes.Interface, namespace, pod string, port int, use func(ctx context.Context, address string) error) error {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return fmt.Errorf("make port-forward: %w", err)
	}
	target := kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	if tunnel, err := portforward.NewSPDYOverWebsocketDialer(target, config); err == nil {
		dialer = portforward.NewFallbackDialer(tunnel, dialer, func(error) bool { return true })
	}

	stop, ready, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	defer close(stop)
	fw, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return fmt.Errorf("make port-forward: %w", err)
	}
	go func() { done <- fw.ForwardPorts() }()
	select {
	case err := <-done:
		if err == nil {
			err = errors.New("it ended at once")
		}
		return fmt.Errorf("forward port %d: %w", port, err)
	case <-ctx.Done():
		return fmt.Errorf("forward port %d: %w", port, ctx.Err())
	case <-ready:
	}
	ports, err := fw.GetPorts()
	if err != nil {
		return fmt.Errorf("forward port %d: %w", port, err)
	}
	return use(ctx, fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
}

func getJSON(ctx context.Context, url string, into any) error {
	client := &http.Client{Timeout: 15 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxDebugAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	return nil
}
