package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// narrator tells what happens, with the time since it began. It may be used
// by several goroutines.
type narrator struct {
	start time.Time

	mu  sync.Mutex
	out io.Writer
}

func newNarrator(out io.Writer) *narrator { return &narrator{start: time.Now(), out: out} }

func (n *narrator) linef(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, format+"\n", args...)
}

// step opens a chapter.
func (n *narrator) step(title string) {
	elapsed := time.Since(n.start).Round(time.Second)
	n.linef("\n[%3d:%02d] %s", int(elapsed.Minutes()), int(elapsed.Seconds())%60, title)
}

// tellf is a line within a chapter.
func (n *narrator) tellf(format string, args ...any) { n.linef("        "+format, args...) }

// writer passes other programs' output through, line by line and indented.
func (n *narrator) writer() *lineWriter { return &lineWriter{say: n} }

type lineWriter struct {
	say     *narrator
	pending []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		i := bytes.IndexByte(w.pending, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.say.tellf("%s", w.pending[:i])
		w.pending = w.pending[i+1:]
	}
}

// flush prints a last line without an end.
func (w *lineWriter) flush() {
	if len(w.pending) > 0 {
		w.say.tellf("%s", w.pending)
		w.pending = nil
	}
}
