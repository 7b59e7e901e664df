package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is measured from outside.
type process struct {
	cmd *exec.Cmd
	log *os.File
	// debug is where it serves profiles, metrics where it serves those; empty for
	// one that does not.
	debug, metrics string
}

// profile fetches a profile into a file of the folder; without a folder there is
// none. The channel has one value.
func (p *process) profile(ctx context.Context, folder, name, path string) <-chan error {
	done := make(chan error, 1)
	if folder == "" {
		done <- nil
		return done
	}
	go func() {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.debug+"/debug/pprof/"+path, http.NoBody)
		if err != nil {
			done <- err
			return
		}
		response, err := (&http.Client{Timeout: time.Minute}).Do(request)
		if err != nil {
			done <- err
			return
		}
		defer response.Body.Close()
		raw, err := io.ReadAll(response.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+".pprof"), raw, 0o600)
		}
		done <- err
	}()
	return done
}

// start runs the command with its output in a file.
func start(cmd *exec.Cmd, log string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	if cmd.Stdout == nil {
		cmd.Stdout = file
	}
	cmd.Stderr = file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, log: file}, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
	_ = p.log.Close()
}

// tail is the end of what it has written, for errors.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// cpu is the processor time that the process has used (proc(5), in ticks of 10 ms).
func (p *process) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// peak is the most memory that it has held, in bytes.
func (p *process) peak() (int64, error) { return p.memory("VmHWM:") }

// resident is the memory that it holds, in bytes.
func (p *process) resident() (int64, error) { return p.memory("VmRSS:") }

func (p *process) memory(name string) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", name, p.cmd.Process.Pid)
}
