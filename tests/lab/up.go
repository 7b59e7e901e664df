package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"
)

func up(ctx context.Context, l *lab, _ []string) error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root: network namespaces, containers and mounts are made")
	}
	if err := l.needs(ctx); err != nil {
		return err
	}
	if err := l.binaries(ctx); err != nil {
		return err
	}
	for _, dir := range []string{"run", "log", "etcd", "kubelet", "cni", "images"} {
		if err := os.MkdirAll(l.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := l.network(ctx); err != nil {
		return err
	}
	if err := l.pki(); err != nil {
		return err
	}
	if err := l.configs(); err != nil {
		return err
	}
	for _, p := range l.processes() {
		if p.name == "kube-controller-manager" {
			if err := l.awaitAPI(ctx); err != nil {
				return err
			}
		}
		if p.name == "kubelet" {
			if err := l.awaitContainerd(ctx); err != nil {
				return err
			}
		}
		if err := l.launch(p); err != nil {
			return err
		}
	}
	if err := l.imagesOf(ctx, []string{"pause", "coredns", "prometheus", "envoy"}); err != nil {
		return err
	}
	l.stepf("waiting for the node")
	if err := l.kubectl(ctx, 2*time.Minute, "the node is Ready", "wait", "--for=condition=Ready", "node/node1", "--timeout=5s"); err != nil {
		return err
	}
	l.stepf("CoreDNS")
	if err := l.apply(ctx, corednsManifest); err != nil {
		return err
	}
	if err := l.kubectl(ctx, 2*time.Minute, "CoreDNS is available", "-n", "kube-system", "wait", "--for=condition=Available", "deployment/coredns", "--timeout=5s"); err != nil {
		return err
	}
	if err := l.kubectl(ctx, time.Minute, "the default service account is there", "-n", "default", "get", "serviceaccount", "default"); err != nil {
		return err
	}
	l.stepf("the cluster is up; use it with\n\n  export KUBECONFIG=%s\n", l.kubeconfig())
	return nil
}

func (l *lab) awaitAPI(ctx context.Context) error {
	return await(ctx, "the API server is ready (see "+l.logFile("kube-apiserver")+")", time.Minute, func(ctx context.Context) error {
		return run(ctx, l.kubernetes("kubectl"), "--kubeconfig", l.kubeconfig(), "get", "--raw", "/readyz")
	})
}

func (l *lab) awaitContainerd(ctx context.Context) error {
	return await(ctx, "containerd answers (see "+l.logFile("containerd")+")", time.Minute, func(ctx context.Context) error {
		return run(ctx, "ctr", "-a", l.path("containerd.sock"), "version")
	})
}

// kubectl repeats the command until it succeeds.
func (l *lab) kubectl(ctx context.Context, limit time.Duration, what string, args ...string) error {
	return await(ctx, what, limit, func(ctx context.Context) error {
		return run(ctx, l.kubernetes("kubectl"), append([]string{"--kubeconfig", l.kubeconfig()}, args...)...)
	})
}

func (l *lab) apply(ctx context.Context, manifest string) error {
	file := l.path("manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return err
	}
	return run(ctx, l.kubernetes("kubectl"), "--kubeconfig", l.kubeconfig(), "apply", "--server-side", "-f", file)
}

// configs writes what containerd, the CNI plugins and the kubelet read.
func (l *lab) configs() error {
	for name, text := range map[string]string{
		"containerd.toml": containerdConfig, "cni/10-bridge.conflist": cniConfig, "kubelet.yaml": kubeletConfig,
	} {
		text = strings.NewReplacer("$STATE", l.state, "$PODS", podCIDR, "$DNS", dnsIP).Replace(text)
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
