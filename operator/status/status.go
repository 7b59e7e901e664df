// Package status writes what the build found into the objects' conditions.
// Only the leader writes, only what differs, and never a spec.
//
//	mesh.Reports -> conditions per object -> status subresource, one Event per transition
package status

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

const (
	retryAfter = 2 * time.Second
	// resyncAfter is how often everything is compared with the API server,
	// because an object may have been replaced by one that looks the same to
	// the build, or its status edited by someone else.
	resyncAfter = 5 * time.Minute
	// maxNote is how long an Event's text may be; the API server refuses more.
	maxNote = 1000
	// maxMessage is how long a condition's may be.
	maxMessage = 4000
)

// Writer brings conditions to the API server. Publish may be called from any
// goroutine; Start does the work.
type Writer struct {
	Client client.Client
	// Events may be nil: then nothing is announced.
	Events events.EventRecorder
	// Now is time.Now where it is nil.
	Now func() time.Time

	once sync.Once
	wake chan struct{}
	mu   sync.Mutex
	next mesh.Reports
	// written is what this writer knows to be there.
	written mesh.Reports
}

func (w *Writer) init() {
	w.once.Do(func() {
		w.wake = make(chan struct{}, 1)
		if w.Now == nil {
			w.Now = time.Now
		}
	})
}

// NeedLeaderElection is true: one replica writes.
func (w *Writer) NeedLeaderElection() bool { return true }

// Publish replaces what is to be written. It does not wait, and costs what
// differs.
func (w *Writer) Publish(reports mesh.Reports) {
	w.init()
	w.mu.Lock()
	w.next = reports
	w.mu.Unlock()
	w.signal()
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Start writes until the context ends. What fails is tried again.
func (w *Writer) Start(ctx context.Context) error {
	w.init()
	w.written = mesh.Reports{}
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	resync := time.NewTicker(resyncAfter)
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-retry.C:
		case <-resync.C:
			w.written = mesh.Reports{}
		}
		if !w.write(ctx) {
			retry.Reset(retryAfter)
		}
	}
}

func (w *Writer) write(ctx context.Context) (done bool) {
	w.mu.Lock()
	next := w.next
	w.mu.Unlock()
	done = true
	written := w.written.Edit()
	for key := range mesh.Changed(w.written, next) {
		report := next.Get(key)
		if report == nil {
			written.Drop(key) // it is gone
			continue
		}
		if err := w.object(ctx, report.Object, report.Findings); err != nil {
			log.FromContext(ctx).Error(err, "status not written; it will be tried again", "object", key.String())
			done = false
			continue
		}
		written.Put(key, report)
	}
	w.written = written.Table()
	return done
}

func (w *Writer) object(ctx context.Context, ref mesh.ObjectRef, findings []mesh.Finding) error {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: ref.Group, Version: ref.Version, Kind: ref.Kind})
	if err := w.Client.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	if ref.UID != "" && ref.UID != string(object.GetUID()) {
		return nil // another has its name by now, of which there will be a report
	}
	before, err := conditionsOf(object)
	if err != nil {
		return err
	}
	now := Conditions(before, findings, ref.Generation, w.Now())
	if equality.Semantic.DeepEqual(before, now) {
		return nil
	}
	list := make([]any, 0, len(now))
	for i := range now {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&now[i])
		if err != nil {
			return fmt.Errorf("condition %s: %w", now[i].Type, err)
		}
		list = append(list, fields)
	}
	changed := object.DeepCopy()
	if err := unstructured.SetNestedSlice(changed.Object, list, "status", "conditions"); err != nil {
		return fmt.Errorf("status.conditions: %w", err)
	}
	if err := unstructured.SetNestedField(changed.Object, ref.Generation, "status", "observedGeneration"); err != nil {
		return fmt.Errorf("status.observedGeneration: %w", err)
	}
	if err := w.Client.Status().Patch(ctx, changed, client.MergeFrom(object)); err != nil {
		return client.IgnoreNotFound(err)
	}
	w.announce(object, before, now)
	return nil
}

// announce sends one Event per condition whose status or reason is new. How
// far an object has come is none, unless a proxy refuses it.
func (w *Writer) announce(object runtime.Object, before, now []metav1.Condition) {
	if w.Events == nil {
		return
	}
	for _, condition := range now {
		old := meta.FindStatusCondition(before, condition.Type)
		if old != nil && old.Status == condition.Status && old.Reason == condition.Reason {
			continue
		}
		if condition.Type == heddlev1alpha1.ConditionStalled || condition.Type == heddlev1alpha1.ConditionReconciling {
			continue // the same news again
		}
		if condition.Type == heddlev1alpha1.ConditionProgrammed && !slices.ContainsFunc([]*metav1.Condition{old, &condition}, rejected) {
			continue
		}
		kind := corev1.EventTypeNormal
		if bad(condition) {
			kind = corev1.EventTypeWarning
		} else if old == nil {
			// That all is well from the start is no news.
			continue
		}
		w.Events.Eventf(object, nil, kind, condition.Reason, condition.Type, "%s", cut(condition.Message, maxNote))
	}
}

func rejected(c *metav1.Condition) bool { return c != nil && c.Reason == heddlev1alpha1.ReasonRejected }

func bad(c metav1.Condition) bool {
	if c.Type == heddlev1alpha1.ConditionConflicted {
		return c.Status == metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionFalse
}

// Conditions returns what an object's conditions become: those found, with
// the time of the last transition kept where nothing turned. A condition that
// is no longer found is dropped. The API server takes one condition of a type;
// of several findings of one type the first that tells of something wrong
// gives the reason, and the others of that kind add their messages.
func Conditions(before []metav1.Condition, findings []mesh.Finding, generation int64, now time.Time) []metav1.Condition {
	var out []metav1.Condition
	for _, f := range forTools(one(findings)) {
		state := metav1.ConditionFalse
		if f.OK {
			state = metav1.ConditionTrue
		}
		condition := metav1.Condition{
			Type: f.Type, Status: state, Reason: f.Reason, Message: cut(f.Message, maxMessage), ObservedGeneration: generation,
		}
		if old := meta.FindStatusCondition(before, f.Type); old != nil && old.Status == state {
			condition.LastTransitionTime = old.LastTransitionTime
		} else {
			condition.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
		}
		out = append(out, condition)
	}
	return out
}

// forTools adds what generic tools read (kstatus): Stalled while an edit is
// needed, Reconciling while proxies have yet to follow. Both are absent
// otherwise.
func forTools(findings []mesh.Finding) []mesh.Finding {
	for _, f := range findings {
		switch {
		case f.Type == heddlev1alpha1.ConditionAccepted && !f.OK:
			f.Type = heddlev1alpha1.ConditionStalled
		case f.Type == heddlev1alpha1.ConditionProgrammed && f.Reason == heddlev1alpha1.ReasonPending:
			f.Type = heddlev1alpha1.ConditionReconciling
		default:
			continue
		}
		f.OK = true
		findings = append(findings, f)
	}
	return findings
}

// one returns a finding per type, in the order of first appearance.
func one(findings []mesh.Finding) []mesh.Finding {
	var out []mesh.Finding
	for _, f := range findings {
		i := slices.IndexFunc(out, func(o mesh.Finding) bool { return o.Type == f.Type })
		switch {
		case i < 0:
			out = append(out, f)
		case !wrong(f):
		case !wrong(out[i]):
			out[i] = f
		default:
			out[i].Message += "; " + f.Message
		}
	}
	return out
}

// wrong says whether a finding is something to act on.
func wrong(f mesh.Finding) bool { return f.OK == (f.Type == heddlev1alpha1.ConditionConflicted) }

// cut shortens text to at most limit bytes, at the end of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("...")], "") + "..."
}

func conditionsOf(object *unstructured.Unstructured) ([]metav1.Condition, error) {
	raw, found, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil || !found {
		return nil, err
	}
	out := make([]metav1.Condition, len(raw))
	for i := range raw {
		fields, ok := raw[i].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("status.conditions[%d] is not an object", i)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &out[i]); err != nil {
			return nil, fmt.Errorf("status.conditions[%d]: %w", i, err)
		}
	}
	return out, nil
}
