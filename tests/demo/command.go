package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command is a program run for the user to see.
func (d *demo) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = os.Environ()
	if d.kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+d.kubeconfig)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// display runs a program and prints its output.
func (d *demo) display(ctx context.Context, argv ...string) error {
	w := d.say.writer()
	defer w.flush()
	cmd := d.command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return nil
}

// output runs a program and returns what it printed.
func (d *demo) output(ctx context.Context, argv ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := d.command(ctx, argv...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(errOut.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// lastLine is where the lab prints what it was asked for.
func lastLine(s string) string { return s[strings.LastIndex(s, "\n")+1:] }

// findKubectl takes the user's kubectl, or the one the lab was built with.
func (d *demo) findKubectl(ctx context.Context) error {
	if path, err := exec.LookPath("kubectl"); err == nil {
		d.kubectl = path
		return nil
	}
	assets, err := d.output(ctx, "go", "run", "./tests/lab", "envtest-assets")
	if err != nil {
		return fmt.Errorf("find kubectl: %w", err)
	}
	d.kubectl = filepath.Join(lastLine(assets), "kubectl")
	if _, err := os.Stat(d.kubectl); err != nil {
		return fmt.Errorf("find kubectl: %w", err)
	}
	return nil
}
