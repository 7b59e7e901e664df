package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	netns      = "heddle-lab"
	nodeIP     = "10.200.0.1"
	labSide    = "10.200.1.2"
	hostSide   = "10.200.1.1"
	podCIDR    = "10.244.0.0/16"
	serviceIPs = "10.96.0.0/16"
	dnsIP      = "10.96.0.10"

	kubernetesVersion = "v1.34.4"
	corednsVersion    = "v1.15.0"
	envoyVersion      = "1.40.0"
	prometheusVersion = "v0.307.3"
)

// lab knows where things are. It holds no state that is not on disk, so that
// an interrupted command can be run again.
type lab struct {
	state string
	cache string
	start time.Time
}

func newLab() (*lab, error) {
	cache := os.Getenv("HEDDLE_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("where to keep binaries (set HEDDLE_CACHE): %w", err)
		}
		cache = filepath.Join(base, "heddle")
	}
	state := os.Getenv("HEDDLE_LAB_STATE")
	if state == "" {
		state = "/var/lib/heddle-lab"
	}
	return &lab{state: state, cache: filepath.Join(cache, "lab"), start: time.Now()}, nil
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.state}, parts...)...)
}

func (l *lab) kubeconfig() string { return l.path("kubeconfig") }

func (l *lab) kubernetes(binary string) string {
	return filepath.Join(l.cache, "k8s-"+kubernetesVersion, "bin", binary)
}

func (l *lab) coredns() string { return filepath.Join(l.cache, "coredns-"+corednsVersion, "coredns") }

func (l *lab) prometheus() string {
	return filepath.Join(l.cache, "prometheus-"+prometheusVersion, "prometheus")
}

func (l *lab) envoy() string { return filepath.Join(l.cache, "envoy-"+envoyVersion, "envoy") }

// stepf says what is being done and how long the command has been at it. It
// writes to standard error: what a command prints for other programs is apart.
func (l *lab) stepf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%5.1fs] %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// run executes a command; its output appears in the error.
func run(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, name, args...)
	return err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// inside runs a command in the lab's network. nsenter rather than `ip netns
// exec`, which would hide the cgroups.
func inside(ctx context.Context, args ...string) error {
	return run(ctx, "nsenter", append([]string{"--net=/run/netns/" + netns}, args...)...)
}

// await polls until the condition holds. What is awaited has no event that a
// program outside could wait for.
func await(ctx context.Context, what string, limit time.Duration, holds func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		case <-tick.C:
		}
	}
}

func kubeconfig(_ context.Context, l *lab, _ []string) error {
	fmt.Println(l.kubeconfig())
	return nil
}
