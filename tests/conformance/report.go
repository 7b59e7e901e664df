package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// What comes of a step.
const (
	passed  = "PASS"
	missed  = "FAIL"
	skipped = "SKIP" // one before it failed
)

// outcome is what came of a step.
type outcome struct {
	Step   int    `json:"step"`
	Does   string `json:"does"`
	Result string `json:"result"`
	// Effective is after how many milliseconds the change before it was seen
	// to be in force; 0 where there was nothing to be seen.
	Effective int64  `json:"effectiveMilliseconds,omitempty"`
	Error     string `json:"error,omitempty"`
}

// capability is what came of a suite.
type capability struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Steps   []outcome `json:"steps"`
}

func (c capability) passed() int {
	n := 0
	for _, s := range c.Steps {
		if s.Result == passed {
			n++
		}
	}
	return n
}

func (c capability) slowest() time.Duration {
	var out int64
	for _, s := range c.Steps {
		out = max(out, s.Effective)
	}
	return time.Duration(out) * time.Millisecond
}

// report gathers what came of all suites and prints it as it comes.
type report struct {
	Limit        string       `json:"limit"`
	Capabilities []capability `json:"capabilities"`

	out io.Writer
}

func (r *report) head() {
	fmt.Fprintf(r.out, "SMI conformance. Every change must be in force within %s of its beginning.\n", r.Limit)
}

// line prints a step, or the name of a suite, which has no number.
func (r *report) line(o outcome) {
	if o.Step == 0 {
		fmt.Fprintf(r.out, "\n%s\n", o.Does)
		return
	}
	after := ""
	if o.Effective > 0 {
		after = fmt.Sprintf("%.1fs", float64(o.Effective)/1000)
	}
	fmt.Fprintf(r.out, "  %2d  %s  %5s  %s\n", o.Step, o.Result, after, o.Does)
	if o.Error != "" {
		fmt.Fprintf(r.out, "      %s\n", o.Error)
	}
}

func (r *report) add(c capability) { r.Capabilities = append(r.Capabilities, c) }

// write puts the report into the file; an empty name is none.
func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644) //nolint:gosec // meant to be read
}

// verdict prints the sum and is an error unless every step passed.
func (r *report) verdict() error {
	fmt.Fprintln(r.out)
	of, ok := 0, 0
	for _, c := range r.Capabilities {
		result := passed
		if c.passed() < len(c.Steps) {
			result = missed
		}
		fmt.Fprintf(r.out, "%s  %-14s  %-27s  %2d of %2d steps, the slowest change in force after %.1fs\n",
			result, c.Name, c.Version, c.passed(), len(c.Steps), c.slowest().Seconds())
		of, ok = of+len(c.Steps), ok+c.passed()
	}
	if ok < of || of == 0 {
		return fmt.Errorf("%d of %d steps passed", ok, of)
	}
	return nil
}
