package main

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// operate answers the first request that comes by moving to a phase.
func operate(ctx context.Context, client dynamic.ResourceInterface, phase string) error {
	w, err := client.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	go func() {
		defer w.Stop()
		for event := range w.ResultChan() {
			o, ok := event.Object.(*unstructured.Unstructured)
			request := ""
			if ok {
				request = o.GetAnnotations()[heddlev1alpha1.AnnotationRequest]
			}
			if request == "" {
				continue
			}
			o = o.DeepCopy()
			_ = unstructured.SetNestedField(o.Object, phase, "status", "phase")
			_ = unstructured.SetNestedField(o.Object, request, "status", "handledRequest")
			_, _ = client.Update(ctx, o, metav1.UpdateOptions{})
			return
		}
	}()
	return nil
}

func TestCanaryRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verb, phase string
		paused      bool
		becomes     string // empty: nobody answers
		wantErr     string
	}{
		"aborts a release under way":           {verb: "abort", phase: "Progressing", becomes: "RollingBack"},
		"approves what waits":                  {verb: "approve", phase: "Waiting", becomes: "Progressing"},
		"resumes what is paused":               {verb: "resume", phase: "Waiting", paused: true, becomes: "Progressing"},
		"retries what failed":                  {verb: "retry", phase: "Failed", becomes: "Progressing"},
		"doesn't ask what makes no sense":      {verb: "abort", phase: "Succeeded", wantErr: "is Succeeded: no release is under way"},
		"doesn't approve what is paused":       {verb: "approve", phase: "Waiting", paused: true, wantErr: "resume it"},
		"doesn't resume what waits":            {verb: "resume", phase: "Waiting", wantErr: "approve it"},
		"fails when the operator refuses":      {verb: "promote", phase: "Progressing", becomes: "Progressing", wantErr: "refused"},
		"fails when the operator doesn't come": {verb: "pause", phase: "Progressing", wantErr: "didn't answer"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			o := canary("cart", tc.phase, 20, 0, "")
			_ = unstructured.SetNestedField(o.Object, "abc", "status", "revision")
			_ = unstructured.SetNestedField(o.Object, tc.paused, "status", "paused")
			m.objects = append(m.objects, o)
			client := m.cluster(t).objects.Resource(canaryResource).Namespace("shop")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if tc.wantErr == "didn't answer" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			if tc.becomes != "" {
				if err := operate(ctx, client, tc.becomes); err != nil {
					t.Fatal(err)
				}
			}
			var verb canaryVerb
			for _, v := range canaryVerbs {
				if v.name == tc.verb {
					verb = v
				}
			}
			line, err := verb.ask(ctx, client, "cart", noon)
			switch {
			case tc.wantErr == "" && (err != nil || line.phase != tc.becomes):
				t.Fatalf("ask = %+v, %v", line, err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Fatalf("error = %v, want one with %q", err, tc.wantErr)
			}
			after, err := client.Get(t.Context(), "cart", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			asked := tc.becomes != "" || tc.wantErr == "didn't answer"
			want := tc.verb + "@abc 2026-03-04T12:00:00Z"
			if got := after.GetAnnotations()[heddlev1alpha1.AnnotationRequest]; asked != (got == want) {
				t.Errorf("annotation = %q", got)
			}
		})
	}
}

func TestCanaryPlan(t *testing.T) {
	t.Parallel()
	m := healthy(t)
	for _, name := range []string{"cart", "compared"} {
		o := canary(name, "Idle", 0, 0, "")
		analysis := map[string]any{"interval": "30s", "threshold": int64(2), "successRate": int64(99), "latency": "500ms", "steps": []any{
			map[string]any{"weight": int64(5), "pause": true, "matchRef": map[string]any{"name": "insiders"}}, map[string]any{"weight": int64(50), "duration": "100s"},
		}}
		if name == "compared" {
			analysis["hooks"] = []any{map[string]any{"name": "smoke", "type": "pre-rollout"}, map[string]any{"name": "ticket", "type": "confirm-promotion"}}
			analysis["checks"] = []any{map[string]any{"name": "queue", "max": "0.5"}, map[string]any{"name": "orders", "min": int64(1), "max": int64(9)}}
			analysis["comparison"] = map[string]any{"alpha": "5%", "errorIncrease": "1%", "slowIncrease": "5%"}
		}
		_ = unstructured.SetNestedField(o.Object, analysis, "spec", "analysis")
		_ = unstructured.SetNestedField(o.Object, int64(600), "spec", "progressDeadlineSeconds")
		m.objects = append(m.objects, o)
	}
	var all strings.Builder
	for _, name := range []string{"cart", "compared"} {
		out, err := m.heddle(t, "canary", "plan", name, "-n", "shop")
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(out + "\n")
	}
	golden(t, "canary-plan.txt", all.String())
}
