package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// outcome is how a part ended.
type outcome string

const (
	outcomePassed  outcome = "ok"
	outcomeFailed  outcome = "FAILED"
	outcomeSkipped outcome = "skipped"
	outcomeStopped outcome = "not run"
)

// result is one line of the table.
type result struct {
	part    string
	outcome outcome
	took    time.Duration
	tests   tally
	// note says what failed or why nothing ran.
	note string
}

// runPart runs the steps in order and stops at the first that fails.
func runPart(ctx context.Context, p part, out io.Writer) result {
	if p.skipped != "" {
		fmt.Fprintln(out, "skipped:", p.skipped)
		return result{part: p.name, outcome: outcomeSkipped, note: p.skipped}
	}
	start := time.Now()
	r := result{part: p.name, outcome: outcomePassed}
	count := &counter{out: out}
	var env []string
	for _, s := range p.steps {
		fmt.Fprintf(out, "$ %s\n", strings.Join(short(s.argv), " "))
		got, err := runStep(ctx, s, env, count)
		if err != nil {
			r.outcome = outcomeFailed
			r.note = fmt.Sprintf("%s: %v", strings.Join(s.argv[:min(3, len(s.argv))], " "), err)
			fmt.Fprintln(out, "failed:", r.note)
			break
		}
		if s.into != "" {
			fmt.Fprintf(out, "%s=%s\n", s.into, got)
			env = append(env, s.into+"="+got)
		}
	}
	r.took = time.Since(start)
	r.tests = count.tally
	return r
}

// runStep runs one command in a process group of its own, so that stopping the
// suite stops what the command started. It returns the command's last line of
// output when that is asked for.
func runStep(ctx context.Context, s step, env []string, out io.Writer) (string, error) {
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	cmd.Env = append(append(os.Environ(), env...), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stdout, cmd.Stderr = out, out
	var captured bytes.Buffer
	if s.into != "" {
		cmd.Stdout = &captured
	}
	if err := cmd.Run(); err != nil {
		return "", err
	}
	if s.into == "" {
		return "", nil
	}
	lines := strings.Split(strings.TrimSpace(captured.String()), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return "", fmt.Errorf("printed nothing to set %s to", s.into)
	}
	return last, nil
}

// short keeps a command line readable when it lists many packages.
func short(argv []string) []string {
	const keep = 9
	if len(argv) <= keep {
		return argv
	}
	return append(argv[:keep:keep], fmt.Sprintf("... (%d more)", len(argv)-keep))
}

// tally counts tests as `go test -v` reports them, subtests included.
type tally struct{ passed, failed, skipped int }

// counter passes output through and counts the tests in it. It is used by one
// command at a time, whose two streams os/exec merges into one writer.
type counter struct {
	out   io.Writer
	tally tally
	line  []byte
}

func (c *counter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b != '\n' {
			c.line = append(c.line, b)
			continue
		}
		c.tally.add(string(c.line))
		c.line = c.line[:0]
	}
	return c.out.Write(p)
}

func (t *tally) add(line string) {
	switch line = strings.TrimLeft(line, " "); {
	case strings.HasPrefix(line, "--- PASS: "):
		t.passed++
	case strings.HasPrefix(line, "--- FAIL: "):
		t.failed++
	case strings.HasPrefix(line, "--- SKIP: "):
		t.skipped++
	}
}
