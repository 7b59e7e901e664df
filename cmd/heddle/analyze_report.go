package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// severity is how bad a finding is.
type severity string

const (
	// severityError is what does not work, severityWarning what may not be
	// meant.
	severityError   severity = "error"
	severityWarning severity = "warning"
)

// analysis is the answer of `heddle analyze`, and its JSON.
type analysis struct {
	// OK is whether there is no error.
	OK bool `json:"ok"`
	// Analyzed counts the objects that were judged.
	Analyzed int              `json:"analyzed"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Objects  []analyzedObject `json:"objects"`
}

// analyzedObject is one of which there is something to say.
type analyzedObject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Source is the file it was read from; empty for an object of the cluster.
	Source   string            `json:"source,omitempty"`
	Findings []analysisFinding `json:"findings"`
}

type analysisFinding struct {
	Severity severity `json:"severity"`
	// Field is a path in the version that the operator reads.
	Field string `json:"field"`
	// Reason is that of the condition which tells of it; empty where none does.
	Reason string `json:"reason,omitempty"`
	// Message says what is wrong and, behind the last semicolon, what to do.
	Message string `json:"message"`
}

func (a *analyzed) report() analysis {
	out := analysis{Objects: []analyzedObject{}}
	for _, key := range a.keys() {
		s := a.subjects[key]
		if !s.reported {
			continue
		}
		out.Analyzed++
		for _, f := range s.found {
			if f.Severity == severityError {
				out.Errors++
			} else {
				out.Warnings++
			}
		}
		if len(s.found) > 0 {
			out.Objects = append(out.Objects, analyzedObject{
				Kind: key.kind.Kind, Namespace: key.namespace, Name: key.name, Source: s.source, Findings: s.found,
			})
		}
	}
	out.OK = out.Errors == 0
	return out
}

func (a analysis) write(w io.Writer, p palette) error {
	marks := map[severity]string{severityWarning: p.yellow + "‼" + p.reset, severityError: p.red + "×" + p.reset}
	var b strings.Builder
	for _, o := range a.Objects {
		fmt.Fprintf(&b, "%s%s%s%s\n", p.bold, o.title(), p.reset, from(o.Source))
		width := 0
		for _, f := range o.Findings {
			width = max(width, utf8.RuneCountInString(f.Field))
		}
		for _, f := range o.Findings {
			what, remedy := divided(f.Message)
			fmt.Fprintf(&b, "  %s  %-*s   %s\n", marks[f.Severity], width, f.Field, what)
			if remedy != "" {
				fmt.Fprintf(&b, "     %-*s → %s\n", width, "", remedy)
			}
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s: %s, %s\n", counted(a.Analyzed, "object"), counted(a.Errors, "error"), counted(a.Warnings, "warning"))
	_, err := io.WriteString(w, b.String())
	return err
}

func (o analyzedObject) title() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

func from(source string) string {
	if source == "" {
		return ""
	}
	return "  (" + source + ")"
}

// divided separates what to do from what is wrong.
func divided(message string) (what, remedy string) {
	at := strings.LastIndex(message, "; ")
	if at < 0 {
		return message, ""
	}
	return message[:at], message[at+len("; "):]
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
