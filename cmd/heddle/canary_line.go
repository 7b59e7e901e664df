package main

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// canaryLine is what one canary shows. It is read field by field, so that this
// program and the operator need not be of one release; what isn't there is
// shown as absent.
type canaryLine struct {
	namespace, name string
	phase, message  string
	target          string
	weight          int64
	failures        int64
	paused          bool
	since           time.Time
}

func readCanaries(list *unstructured.UnstructuredList) []canaryLine {
	var out []canaryLine
	for i := range list.Items {
		out = append(out, readCanary(&list.Items[i]))
	}
	return out
}

func readCanary(o *unstructured.Unstructured) canaryLine {
	text := func(path ...string) string { s, _, _ := unstructured.NestedString(o.Object, path...); return s }
	number := func(path ...string) int64 { n, _, _ := unstructured.NestedInt64(o.Object, path...); return n }
	l := canaryLine{
		namespace: o.GetNamespace(), name: o.GetName(),
		phase:    text("status", "phase"),
		message:  text("status", "message"),
		target:   text("spec", "targetRef", "name"),
		weight:   number("status", "weight"),
		failures: number("status", "failures"),
	}
	l.paused, _, _ = unstructured.NestedBool(o.Object, "status", "paused")
	for _, field := range []string{"enteredAt", "lastTransitionTime"} {
		if at, err := time.Parse(time.RFC3339, text("status", field)); err == nil {
			l.since = at
			break
		}
	}
	for _, c := range conditions(o) {
		if l.message == "" && (c.Type == "Ready" || c.Type == "Accepted") && (c.Status == metav1.ConditionFalse || l.phase != "") {
			l.message = c.Message
		}
	}
	if l.phase == "" {
		l.phase = "(not seen yet)"
	}
	return l
}

// same is whether two lines are the same state; the words may differ.
func (l canaryLine) same(other canaryLine) bool {
	return l.phase == other.phase && l.weight == other.weight && l.failures == other.failures
}

func canaryHeader(namespaces bool) []string {
	head := []string{"NAME", "PHASE", "TRAFFIC", "FAILURES", "FOR", "MESSAGE"}
	if namespaces {
		head = append([]string{"NAMESPACE"}, head...)
	}
	return head
}

func (l canaryLine) cells(namespaces bool, now time.Time) []string {
	cells := []string{l.name, l.phase, bar(l.weight), fmt.Sprint(l.failures), age(now, l.since), l.message}
	if namespaces {
		cells = append([]string{l.namespace}, cells...)
	}
	return cells
}

// bar draws a percentage in ten cells.
func bar(percent int64) string {
	const cells = 10
	percent = max(0, min(100, percent))
	full := int(percent) * cells / 100
	if full == 0 && percent > 0 {
		full = 1
	}
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full) + fmt.Sprintf(" %3d%%", percent)
}
