package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

var (
	start = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	later = start.Add(time.Hour)
)

func cart(generation int64) mesh.ObjectRef {
	return mesh.ObjectRef{
		Group: "split.smi-spec.io", Version: "v1alpha4", Kind: "TrafficSplit",
		Namespace: "shop", Name: "cart", Generation: generation,
	}
}

func found(conditionType string, ok bool, reason, message string) mesh.Finding {
	return mesh.Finding{Object: cart(2), Type: conditionType, OK: ok, Reason: reason, Message: message}
}

// reports are the findings by object.
func reports(findings ...mesh.Finding) mesh.Reports {
	var out mesh.Reports
	for _, f := range findings {
		report := &mesh.Report{Object: f.Object}
		if before := out.Get(f.Object.Key()); before != nil {
			report.Findings = before.Findings
		}
		report.Findings = append(slices.Clone(report.Findings), f)
		out = out.With(f.Object.Key(), report)
	}
	return out
}

func condition(conditionType string, status metav1.ConditionStatus, reason, message string, since time.Time) metav1.Condition {
	return metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(since),
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before   []metav1.Condition
		findings []mesh.Finding
		want     []metav1.Condition
	}{
		"nothing found is no condition": {},
		"a first finding begins now": {
			findings: []mesh.Finding{found("Accepted", true, "Accepted", "fine")},
			want:     []metav1.Condition{condition("Accepted", "True", "Accepted", "fine", later)},
		},
		"what has not turned keeps its time": {
			before:   []metav1.Condition{condition("ResolvedRefs", "False", "BackendNotFound", "a", start)},
			findings: []mesh.Finding{found("ResolvedRefs", false, "PortMismatch", "b")},
			want:     []metav1.Condition{condition("ResolvedRefs", "False", "PortMismatch", "b", start)},
		},
		"what has turned begins now": {
			before:   []metav1.Condition{condition("ResolvedRefs", "False", "BackendNotFound", "a", start)},
			findings: []mesh.Finding{found("ResolvedRefs", true, "ResolvedRefs", "")},
			want:     []metav1.Condition{condition("ResolvedRefs", "True", "ResolvedRefs", "", later)},
		},
		"what is no longer found goes": {
			before: []metav1.Condition{
				condition("Conflicted", "True", "OlderSplit", "a", start), condition("Accepted", "True", "Accepted", "", start),
			},
			findings: []mesh.Finding{found("Accepted", true, "Accepted", "")},
			want:     []metav1.Condition{condition("Accepted", "True", "Accepted", "", start)},
		},
		"of one type there is one condition and the worse counts": {
			findings: []mesh.Finding{
				found("ResolvedRefs", true, "ResolvedRefs", "fine"),
				found("ResolvedRefs", false, "BackendNotFound", "a"),
				found("ResolvedRefs", false, "PortMismatch", "b"),
				found("ResolvedRefs", true, "ResolvedRefs", "fine"),
			},
			want: []metav1.Condition{condition("ResolvedRefs", "False", "BackendNotFound", "a; b", later)},
		},
		"a conflict is the worse when it is true": {
			findings: []mesh.Finding{
				found("Conflicted", false, "None", ""), found("Conflicted", true, "OlderSplit", "a"),
			},
			want: []metav1.Condition{condition("Conflicted", "True", "OlderSplit", "a", later)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Conditions(tc.before, tc.findings, 2, later)); diff != "" {
				t.Errorf("conditions: (-want +got)\n%s", diff)
			}
		})
	}
}

// What was written once is not written again: the conditions made from
// findings and those conditions are the same ones.
func TestConditionsSettle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var findings []mesh.Finding
		for range rapid.IntRange(0, 6).Draw(r, "findings") {
			findings = append(findings, found(
				rapid.SampledFrom([]string{"Accepted", "ResolvedRefs", "Programmed", "Conflicted"}).Draw(r, "type"),
				rapid.Bool().Draw(r, "ok"),
				rapid.SampledFrom([]string{"A", "B"}).Draw(r, "reason"),
				rapid.String().Draw(r, "message")))
		}
		once := Conditions(nil, findings, 2, start)
		if diff := cmp.Diff(once, Conditions(once, findings, 2, later)); diff != "" {
			r.Errorf("the second time: (-first +second)\n%s", diff)
		}
		seen := map[string]bool{}
		for _, c := range once {
			if seen[c.Type] {
				r.Errorf("two conditions of type %s", c.Type)
			}
			seen[c.Type] = true
		}
	})
}

func TestCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text, limit := rapid.String().Draw(r, "text"), rapid.IntRange(3, 40).Draw(r, "limit")
		got := cut(text, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			r.Errorf("cut(%q, %d) = %q", text, limit, got)
		}
		if len(text) <= limit && got != text {
			r.Errorf("%q was cut to %q", text, got)
		}
	})
}

// cluster is a fake API server with one TrafficSplit in it.
type cluster struct {
	client.Client
	events *events.FakeRecorder
	// patches counts writes of a status; failures says how many of them fail.
	patches, failures atomic.Int32
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := splitv1alpha4.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &cluster{events: events.NewFakeRecorder(20)}
	c.Client = fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(split()).WithStatusSubresource(&splitv1alpha4.TrafficSplit{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, inner client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				c.patches.Add(1)
				if c.failures.Add(-1) >= 0 {
					return errors.New("the API server is away")
				}
				return inner.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	return c
}

func split() *splitv1alpha4.TrafficSplit {
	return &splitv1alpha4.TrafficSplit{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", Generation: 2},
		Spec:       splitv1alpha4.TrafficSplitSpec{Service: "cart"},
	}
}

func (c *cluster) writer() *Writer {
	w := &Writer{Client: c, Events: c.events, Now: func() time.Time { return start }}
	w.init()
	return w
}

func (c *cluster) split(t *testing.T) *splitv1alpha4.TrafficSplit {
	t.Helper()
	got := &splitv1alpha4.TrafficSplit{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "cart"}, got); err != nil {
		t.Fatal(err)
	}
	return got
}

func (c *cluster) heard() []string {
	var out []string
	for {
		select {
		case e := <-c.events.Events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func TestWriterWritesWhatDiffers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.writer()
	steps := []struct {
		name       string
		findings   []mesh.Finding
		wantWrites int32
		wantEvents []string
	}{
		{"all is well from the start", []mesh.Finding{found("Accepted", true, "Accepted", "fine")}, 1, nil},
		{"nothing changes", []mesh.Finding{found("Accepted", true, "Accepted", "fine")}, 1, nil},
		{"it turns bad", []mesh.Finding{found("Accepted", false, "InvalidWeight", "negative")}, 2, []string{"Warning InvalidWeight negative"}},
		{"the words change", []mesh.Finding{found("Accepted", false, "InvalidWeight", "very negative")}, 3, nil},
		{"it is on its way", []mesh.Finding{found("Accepted", false, "InvalidWeight", "very negative"), found("Programmed", false, "Pending", "1 of 2")}, 4, nil},
		{"a proxy refuses it", []mesh.Finding{found("Accepted", false, "InvalidWeight", "very negative"), found("Programmed", false, "Rejected", "no")}, 5, []string{"Warning Rejected no"}},
		{"the proxy takes it", []mesh.Finding{found("Accepted", false, "InvalidWeight", "very negative"), found("Programmed", true, "Programmed", "all")}, 6, []string{"Normal Programmed all"}},
		{"it turns good", []mesh.Finding{found("Accepted", true, "Accepted", "fine")}, 7, []string{"Normal Accepted fine"}},
	}
	for _, step := range steps {
		w.Publish(reports(step.findings...))
		if !w.write(t.Context()) {
			t.Fatalf("%s: not written", step.name)
		}
		if got := c.patches.Load(); got != step.wantWrites {
			t.Errorf("%s: %d writes, want %d", step.name, got, step.wantWrites)
		}
		if diff := cmp.Diff(step.wantEvents, c.heard()); diff != "" {
			t.Errorf("%s: Events (-want +got)\n%s", step.name, diff)
		}
		if diff := cmp.Diff(split().Spec, c.split(t).Spec); diff != "" {
			t.Errorf("%s: the spec changed (-want +got)\n%s", step.name, diff)
		}
	}
	want := []metav1.Condition{condition(heddlev1alpha1.ConditionAccepted, "True", "Accepted", "fine", start)}
	got := c.split(t).Status.Conditions
	for i := range got {
		got[i].LastTransitionTime = metav1.NewTime(got[i].LastTransitionTime.UTC())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions: (-want +got)\n%s", diff)
	}
}

func TestWriterFindsWhatIsThereAlready(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for range 2 { // a second leader has written nothing itself
		w := c.writer()
		w.Publish(reports(found("Accepted", false, "NoBackends", "none")))
		w.write(t.Context())
	}
	if got := c.patches.Load(); got != 1 {
		t.Errorf("%d writes, want 1", got)
	}
	if got := len(c.heard()); got != 1 {
		t.Errorf("%d Events, want 1", got)
	}
}

func TestWriterTriesAgainWhatFailed(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.failures.Store(1)
	w := c.writer()
	w.Publish(reports(found("Accepted", false, "NoBackends", "none")))
	if w.write(t.Context()) {
		t.Error("a failed write was taken for done")
	}
	if got := c.heard(); len(got) > 0 {
		t.Errorf("Events of what was not written: %v", got)
	}
	if !w.write(t.Context()) {
		t.Error("not written the second time")
	}
	if got := len(c.split(t).Status.Conditions); got != 2 {
		t.Errorf("%d conditions", got)
	}
}

func TestWriterTakesAnObjectThatIsGone(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.writer()
	gone := found("Accepted", true, "Accepted", "")
	gone.Object.Name = "gone"
	w.Publish(reports(gone, found("Accepted", true, "Accepted", "")))
	if !w.write(t.Context()) {
		t.Error("an object that is gone stopped the writer")
	}
	if got := c.patches.Load(); got != 1 {
		t.Errorf("%d writes, want 1", got)
	}
	w.Publish(reports())
	w.write(t.Context())
	if w.written.Len() > 0 {
		t.Errorf("it remembers objects that are gone: %v", w.written)
	}
}

// What is said of an object that was there before is not written to another of
// its name.
func TestWriterKnowsAnObjectFromAnotherOfItsName(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.writer()
	before := found("Accepted", true, "Accepted", "")
	before.Object.UID = "of the one before"
	w.Publish(reports(before))
	if !w.write(t.Context()) || c.patches.Load() != 0 {
		t.Errorf("%d writes", c.patches.Load())
	}
	now := before
	now.Object.UID = string(c.split(t).UID)
	w.Publish(reports(now))
	if !w.write(t.Context()) || c.patches.Load() != 1 {
		t.Errorf("%d writes", c.patches.Load())
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := c.writer()
	w.Publish(reports(found("Accepted", false, "Invalid", strings.Repeat("é", 20000))))
	w.write(t.Context())
	if got := len(c.split(t).Status.Conditions[0].Message); got > maxMessage {
		t.Errorf("a message of %d bytes", got)
	}
	if heard := c.heard(); len(heard) != 1 || len(heard[0]) > maxNote+100 {
		t.Errorf("%d Events", len(heard))
	}
}

func TestPublishNeverWaits(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	w := &Writer{Client: c, Now: func() time.Time { return start }}
	for range 100 { // nobody reads
		w.Publish(reports(found("Accepted", false, "NoBackends", "old")))
	}
	w.Publish(reports(found("Accepted", false, "NoBackends", "newest")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	for c.patches.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := c.split(t).Status.Conditions; len(got) != 2 || got[0].Message != "newest" || c.patches.Load() != 1 {
		t.Errorf("%d writes, conditions %+v", c.patches.Load(), got)
	}
}
