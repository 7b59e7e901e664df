package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one program of the cluster.
type process struct {
	name string
	args []string
}

// processes in the order they are started.
func (l *lab) processes() []process {
	k, pki := l.kubernetes, func(name string) string { return l.path("pki", name) }
	config := "--kubeconfig=" + l.kubeconfig()
	return []process{
		{"etcd", []string{
			"etcd", "--data-dir=" + l.path("etcd"), "--listen-client-urls=http://127.0.0.1:2379",
			"--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync",
		}},
		{"kube-apiserver", []string{
			k("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", "--service-cluster-ip-range=" + serviceIPs,
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--client-ca-file=" + pki("ca.crt"), "--service-account-key-file=" + pki("sa.key"),
			"--service-account-signing-key-file=" + pki("sa.key"), "--service-account-issuer=https://kubernetes.default.svc",
			"--authorization-mode=Node,RBAC", "--allow-privileged=true", "--advertise-address=" + nodeIP,
			"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"),
			"--kubelet-preferred-address-types=InternalIP", "--requestheader-client-ca-file=" + pki("ca.crt"),
			"--proxy-client-cert-file=" + pki("admin.crt"), "--proxy-client-key-file=" + pki("admin.key"),
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		}},
		{"kube-controller-manager", []string{
			k("kube-controller-manager"), config, "--service-account-private-key-file=" + pki("sa.key"),
			"--root-ca-file=" + pki("ca.crt"), "--leader-elect=false", "--use-service-account-credentials=true",
		}},
		{"kube-scheduler", []string{k("kube-scheduler"), config, "--leader-elect=false"}},
		{"containerd", []string{"containerd", "-c", l.path("containerd.toml")}},
		{"kubelet", []string{
			k("kubelet"), config, "--config=" + l.path("kubelet.yaml"), "--root-dir=" + l.path("kubelet"),
			"--hostname-override=node1", "--node-ip=" + nodeIP,
		}},
		{"kube-proxy", []string{
			k("kube-proxy"), config, "--hostname-override=node1", "--proxy-mode=iptables",
			"--cluster-cidr=" + podCIDR, "--conntrack-max-per-core=0",
		}},
	}
}

func (l *lab) pidFile(name string) string { return l.path("run", name+".pid") }

func (l *lab) logFile(name string) string { return l.path("log", name+".log") }

// running returns the pid of the process: the one that the pid file names, if
// that is this program of this lab and not another that got its number, or
// one that is found without a pid file.
func (l *lab) running(p process) (int, bool) {
	want := commandLine(p)
	if text, err := os.ReadFile(l.pidFile(p.name)); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil && commandLineOf(pid) == want {
			return pid, true
		}
	}
	if all := having(want); len(all) > 0 {
		return all[0], true
	}
	return 0, false
}

// commandLine is what /proc tells of the process when it runs: every argument
// is in it, the lab's folder among them, so that it names no other program.
func commandLine(p process) string {
	args := slices.Clone(p.args)
	if program, err := exec.LookPath(args[0]); err == nil {
		args[0] = program
	}
	return strings.Join(args, "\x00")
}

func commandLineOf(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	return string(bytes.TrimRight(text, "\x00"))
}

// having lists the processes with that command line, lowest pid first.
func having(commandLine string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && commandLineOf(pid) == commandLine {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// launch starts the process in the lab's network, in a session of its own, so
// that it outlives this command.
func (l *lab) launch(p process) error {
	if _, ok := l.running(p); ok {
		return nil
	}
	l.stepf("starting %s", p.name)
	log, err := os.Create(l.logFile(p.name))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	program, err := exec.LookPath(p.args[0])
	if err != nil {
		return err
	}
	args := append([]string{"--net=/run/netns/" + netns, program}, p.args[1:]...)
	cmd := exec.CommandContext(context.Background(), "nsenter", args...) //nolint:gosec // our own list
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = l.state
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return os.WriteFile(l.pidFile(p.name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// stop ends the process, every one of it, and waits until it is gone.
func (l *lab) stop(ctx context.Context, p process) error {
	line := commandLine(p)
	pids := having(line)
	if len(pids) > 0 {
		l.stepf("stopping %s", p.name)
	}
	if err := sendAll(pids, syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	err := await(ctx, p.name+" ends", 20*time.Second, func(context.Context) error {
		if left := having(line); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
	if err != nil {
		if err := sendAll(having(line), syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := os.Remove(l.pidFile(p.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func sendAll(pids []int, s syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
