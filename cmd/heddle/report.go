package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// status is how one check ended.
type status string

const (
	statusOK      status = "ok"
	statusWarning status = "warning"
	statusFailed  status = "failed"
	// statusUnknown is for a check whose facts could not be read because
	// something checked before it is wrong.
	statusUnknown status = "not checked"
)

// verdict is what a check says; the zero value says that all is well.
type verdict struct {
	status status
	// detail names what is wrong, one thing a line.
	detail []string
}

func pass(detail ...string) verdict { return verdict{status: statusOK, detail: detail} }
func warn(detail ...string) verdict { return verdict{status: statusWarning, detail: detail} }
func fail(detail ...string) verdict { return verdict{status: statusFailed, detail: detail} }

// unknown says why a check could not be made.
func unknown(why error) verdict {
	return verdict{status: statusUnknown, detail: slices.Compact(strings.Split(why.Error(), "\n"))}
}

// findings turns a list of things that are wrong into a verdict.
func findings(bad func(...string) verdict, wrong []string) verdict {
	if len(wrong) == 0 {
		return pass()
	}
	return bad(wrong...)
}

// report is the answer of `heddle check`, and its JSON.
type report struct {
	// OK is whether no check failed.
	OK     bool           `json:"ok"`
	Counts map[status]int `json:"counts"`
	Checks []checkResult  `json:"checks"`
}

// checkResult is one line of it.
type checkResult struct {
	Group  string   `json:"group"`
	Name   string   `json:"name"`
	Status status   `json:"status"`
	Detail []string `json:"detail,omitempty"`
	// Remedy is what to do; set when there is something to do.
	Remedy string `json:"remedy,omitempty"`
}

// maxDetail is how many things one check prints; JSON has them all.
const maxDetail = 8

func (r report) write(w io.Writer, p palette) error {
	marks := map[status]string{
		statusOK:      p.green + "√" + p.reset,
		statusWarning: p.yellow + "‼" + p.reset,
		statusFailed:  p.red + "×" + p.reset,
		statusUnknown: p.yellow + "?" + p.reset,
	}
	var b strings.Builder
	group := ""
	for _, c := range r.Checks {
		if c.Group != group {
			if group != "" {
				b.WriteString("\n")
			}
			group = c.Group
			fmt.Fprintf(&b, "%s%s%s\n", p.bold, group, p.reset)
		}
		fmt.Fprintf(&b, "  %s  %s\n", marks[c.Status], c.Name)
		for i, d := range c.Detail {
			if i == maxDetail {
				fmt.Fprintf(&b, "       and %d more\n", len(c.Detail)-maxDetail)
				break
			}
			fmt.Fprintf(&b, "       %s\n", strings.ReplaceAll(d, "\n", "\n       "))
		}
		if c.Remedy != "" {
			fmt.Fprintf(&b, "     → %s\n", strings.ReplaceAll(c.Remedy, "\n", "\n       "))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r report) summary() string {
	plural := "s"
	if len(r.Checks) == 1 {
		plural = ""
	}
	parts := []string{fmt.Sprintf("%d check%s: %d ok", len(r.Checks), plural, r.Counts[statusOK])}
	for _, s := range []status{statusWarning, statusFailed, statusUnknown} {
		if n := r.Counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}
