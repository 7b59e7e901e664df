package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSuitesHaveTheStepsOfSMIs(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, s := range suites() {
		got[s.version] = len(s.steps)
	}
	want := map[string]int{
		"access.smi-spec.io/v1alpha1": 7, "access.smi-spec.io/v1alpha3": 7,
		"specs.smi-spec.io/v1alpha1": 6, "specs.smi-spec.io/v1alpha4": 6,
		"split.smi-spec.io/v1alpha1": 11, "split.smi-spec.io/v1alpha4": 11,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	comes := func(after time.Duration, err error) step {
		return step{"something", func(context.Context, *cluster) (time.Duration, error) { return after, err }}
	}
	tests := map[string]struct {
		steps []step
		want  string
		fails bool
	}{
		"all pass":                       {[]step{comes(0, nil), comes(time.Second, nil)}, "PASS PASS", false},
		"one fails, the rest is skipped": {[]step{comes(0, nil), comes(0, errors.New("no")), comes(0, nil)}, "PASS FAIL SKIP", true},
		"one is late":                    {[]step{comes(6*time.Second, nil), comes(0, nil)}, "FAIL SKIP", true},
		"none is none":                   {nil, "", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &cluster{options: options{limit: 5 * time.Second}}
			r := &report{out: io.Discard}
			r.add(suite{steps: tc.steps}.run(t.Context(), c, r.line))
			var got []string
			for _, s := range r.Capabilities[0].Steps {
				got = append(got, s.Result)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if err := r.verdict(); (err != nil) != tc.fails {
				t.Errorf("verdict: %v", err)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	half := answers{Total: 4, ByCode: map[string]int{"200": 4}, ByVersion: map[string]int{"app-b": 2, "app-c": 2}}
	lost := answers{Total: 4, ByCode: map[string]int{"200": 3}, ByVersion: map[string]int{"app-b": 3}, Errors: 1}
	if half.share("app-b") != 0.5 || half.share("app-x") != 0 || !both(half) {
		t.Errorf("half of %+v is app-b's", half)
	}
	if lost.share("app-b") >= 0 || lost.all("200") || both(lost) {
		t.Errorf("%+v: one was not answered", lost)
	}
	if (answers{}).all("200") {
		t.Error("nothing asked is nothing answered")
	}
}
