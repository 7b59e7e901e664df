package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

func kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// start makes the pods and waits until a request is answered.
func (v variant) start(ctx context.Context) error {
	if _, err := kubectl(ctx, v.manifest, "apply", "-f", "-"); err != nil {
		return err
	}
	for _, name := range []string{"cart", "web"} {
		if _, err := kubectl(ctx, "", "-n", v.namespace(), "rollout", "status", "deployment/"+name, "--timeout=2m"); err != nil {
			return err
		}
	}
	end := time.Now().Add(time.Minute)
	for {
		c, err := v.ask(ctx, 100, 0)
		if err == nil && c.ByCode["200"] == 100 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("no good answers within a minute: %+v %w", c, err)
		}
	}
}

func (v variant) ask(ctx context.Context, n, rate int) (shoptest.Counts, error) {
	out, err := kubectl(ctx, "", "-n", v.namespace(), "exec", "deployment/web", "-c", "app", "--",
		"/shop", "get", "-n", strconv.Itoa(n), "-c", "32", "-rps", strconv.Itoa(rate), v.url)
	var c shoptest.Counts
	if err == nil {
		err = json.Unmarshal([]byte(out), &c)
	}
	return c, err
}

// measure is one round.
func (v variant) measure(ctx context.Context, o options) (figures, error) {
	paced, err := v.asked(ctx, o.paced, o.rate)
	if err != nil {
		return figures{}, err
	}
	proxies, err := v.proxies(ctx)
	if err != nil {
		return figures{}, err
	}
	before := proxies.cpu()
	full, err := v.asked(ctx, o.saturate, 0)
	if err != nil {
		return figures{}, err
	}
	return figures{
		P50MS: paced.P50, P99MS: paced.P99, PerSecond: float64(full.Total) / full.Seconds,
		CPU: float64((proxies.cpu() - before).Microseconds()) / float64(full.Total), RSSBytes: proxies.rss(),
	}, nil
}

// asked is ask where every request must be answered well.
func (v variant) asked(ctx context.Context, n, rate int) (shoptest.Counts, error) {
	c, err := v.ask(ctx, n, rate)
	if err == nil && c.ByCode["200"] != n {
		err = fmt.Errorf("%d of %d requests failed: %s", n-c.ByCode["200"], n, c.LastError)
	}
	return c, err
}

// processes are proxies on this machine, by id.
type processes []string

// proxies finds those of the variant's pods by their containers' names in control
// groups.
func (v variant) proxies(ctx context.Context) (processes, error) {
	if v.proxy == "" {
		return nil, nil
	}
	out, err := kubectl(ctx, "", "-n", v.namespace(), "get", "pod", "-o",
		`jsonpath={range .items[*]}{range .status.initContainerStatuses[*]}{.name}={.containerID}{"\n"}{end}{range .status.containerStatuses[*]}{.name}={.containerID}{"\n"}{end}{end}`)
	if err != nil {
		return nil, err
	}
	var found processes
	for line := range strings.Lines(out) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), "=containerd://")
		if name != v.proxy {
			continue
		}
		groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
		if err != nil {
			return nil, err
		}
		for _, group := range groups {
			if raw, err := os.ReadFile(group); err == nil && strings.Contains(string(raw), id) {
				found = append(found, filepath.Base(filepath.Dir(group)))
			}
		}
	}
	if len(found) != 2 {
		return nil, errors.New("not two proxies on this machine: this needs the lab")
	}
	return found, nil
}

// tick is what /proc counts processor time in (sysconf CLK_TCK on Linux).
const tick = 10 * time.Millisecond

func (p processes) cpu() time.Duration {
	var sum time.Duration
	for _, id := range p {
		raw, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		for _, at := range []int{11, 12} { // utime, stime (proc(5))
			n, _ := strconv.Atoi(fields[at])
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

func (p processes) rss() float64 {
	most := 0
	for _, id := range p {
		raw, err := os.ReadFile(filepath.Join("/proc", id, "statm"))
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(strings.Fields(string(raw))[1])
		most = max(most, n*os.Getpagesize())
	}
	return float64(most)
}
