package main

import (
	"context"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAProcessIsFoundByItsWholeCommandLine(t *testing.T) {
	t.Parallel()
	l := &lab{state: t.TempDir()}
	// The folder's name makes the argument one of its own.
	p := process{name: "sleeper", args: []string{"tail", "-f", "/dev/null", l.state}}
	if _, ok := l.running(p); ok {
		t.Fatal("running before it was started")
	}
	var pids []int
	for range 2 {
		program, err := exec.LookPath("tail")
		if err != nil {
			t.Skip(err)
		}
		cmd := exec.CommandContext(t.Context(), program, p.args[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = cmd.Wait() }()
		pids = append(pids, cmd.Process.Pid)
	}
	if diff := cmp.Diff(pids, having(commandLine(p))); diff != "" {
		t.Errorf("found without pid file (-want +got):\n%s", diff)
	}
	if pid, ok := l.running(p); !ok || pid != pids[0] {
		t.Errorf("running() = %d, %v; want %d, true", pid, ok, pids[0])
	}
	other := process{name: "sleeper", args: []string{"tail", "-f", "/dev/null"}}
	if pid, ok := l.running(other); ok && (pid == pids[0] || pid == pids[1]) {
		t.Error("a program with fewer arguments is taken for it")
	}
	if err := l.stop(context.WithoutCancel(t.Context()), p); err != nil {
		t.Fatal(err)
	}
	if left := having(commandLine(p)); len(left) > 0 {
		t.Errorf("left after stop: %v", left)
	}
}

func TestGoDirective(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ mod, want string }{
		"the module's own":   {"module x\n\ngo 1.24.2\n", "1.24.2"},
		"a module with none": {"module x\n", "1.24"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := goDirective(c.mod); got != c.want {
				t.Errorf("goDirective() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestNetworksOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		info string
		want []string
	}{
		"a sandbox has one by name":       {`{"ID":"a","Spec":{"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/var/run/netns/cni-1"}]}}}`, []string{"cni-1"}},
		"a container is in its sandbox's": {`{"Spec":{"linux":{"namespaces":[{"type":"network","path":"/proc/12/ns/net"}]}}}`, nil},
		"what can't be read has none":     {`ctr: no such container`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := networksOf(test.info); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
