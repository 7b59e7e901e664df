package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func names(parts []part) []string {
	var out []string
	for _, p := range parts {
		out = append(out, p.name)
	}
	return out
}

func TestChoose(t *testing.T) {
	t.Parallel()
	parts := []part{{name: "lint"}, {name: "unit"}, {name: "e2e"}}
	tests := map[string]struct {
		only, skip []string
		want       []string
		wantErr    bool
	}{
		"runs everything when nothing is named":       {want: []string{"lint", "unit", "e2e"}},
		"keeps the plan's order whatever is asked":    {only: []string{"e2e", "lint"}, want: []string{"lint", "e2e"}},
		"leaves out what is to be skipped":            {skip: []string{"e2e"}, want: []string{"lint", "unit"}},
		"refuses a part it does not know":             {only: []string{"unti"}, wantErr: true},
		"refuses to skip a part that does not exist":  {skip: []string{"e2ee"}, wantErr: true},
		"skipping wins over asking for the same part": {only: []string{"lint", "unit"}, skip: []string{"lint"}, want: []string{"unit"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := choose(parts, tc.only, tc.skip)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error = %v, want one: %v", err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, names(got)); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanPutsEveryPackageInExactlyOnePart(t *testing.T) {
	t.Parallel()
	tr := tree{lab: true, pkgs: []pkg{
		{path: "m/operator/ca"},
		{path: "m/sidecar/envoy", golden: []string{"TestRenderGolden"}},
		{path: "m/tests/arch"},
		{path: "m/tests/envtest/crd"},
		{path: "m/tests/xds"},
		{path: "m/tests/differential"},
		{path: "m/tests/e2e"},
		{path: "m/tests/e2etools"},
	}}
	want := map[string]string{
		"m/operator/ca": "unit", "m/sidecar/envoy": "unit", "m/tests/arch": "arch",
		"m/tests/envtest/crd": "envtest", "m/tests/e2e": "e2e", "m/tests/e2etools": "unit", "m/tests/xds": "envoy",
		"m/tests/differential": "envoy",
	}
	got := map[string]string{}
	for _, p := range plan(tr, machine{race: true, root: true}) {
		for _, s := range p.steps {
			for _, arg := range s.argv {
				if strings.HasPrefix(arg, "m/") && p.name != "golden" {
					if first, twice := got[arg]; twice {
						t.Errorf("%s is in %s and %s", arg, first, p.name)
					}
					got[arg] = p.name
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("part of each package (-want +got):\n%s", diff)
	}
}

func TestEndToEndNeverStartsTheLabOnAClusterOfTheUsers(t *testing.T) {
	t.Parallel()
	tr := tree{lab: true, pkgs: []pkg{{path: "m/tests/e2e"}}}
	for _, s := range e2ePart(tr, machine{kubeconfig: "/home/me/config", root: true}).steps {
		if strings.Contains(strings.Join(s.argv, " "), "tests/lab") {
			t.Errorf("runs %v", s.argv)
		}
	}
}

func TestCounterCountsTestsAcrossWrites(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &counter{out: &out}
	text := "=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- FAIL: TestB/x (0.00s)\n--- SKIP: TestC (0.00s)\nok\n"
	for _, b := range []byte(text) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if c.tally != (tally{passed: 1, failed: 1, skipped: 1}) {
		t.Errorf("tally = %+v", c.tally)
	}
	if out.String() != text {
		t.Errorf("output was changed: %q", out.String())
	}
}

func TestRunPart(t *testing.T) {
	t.Parallel()
	sh := func(script string) step { return step{argv: []string{"sh", "-c", script}} }
	capture := func(into, script string) step { s := sh(script); s.into = into; return s }
	tests := map[string]struct {
		part part
		want outcome
	}{
		"passes when all steps do":                         {part{steps: []step{sh("true"), sh("true")}}, outcomePassed},
		"fails with the first step that does":              {part{steps: []step{sh("false"), sh("exit 0")}}, outcomeFailed},
		"hands a step's last line on as a variable":        {part{steps: []step{capture("X", "echo one; echo two"), sh(`[ "$X" = two ]`)}}, outcomePassed},
		"fails when a variable would be empty":             {part{steps: []step{capture("X", "true")}}, outcomeFailed},
		"says so when there is nothing to run":             {part{skipped: "none"}, outcomeSkipped},
		"fails when the command does not exist on the way": {part{steps: []step{{argv: []string{"/no/such/program"}}}}, outcomeFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := runPart(t.Context(), tc.part, io.Discard); got.outcome != tc.want {
				t.Errorf("outcome = %s (%s), want %s", got.outcome, got.note, tc.want)
			}
		})
	}
}

func TestStoppingEndsWhatAStepStarted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	r := runPart(ctx, part{steps: []step{{argv: []string{"sh", "-c", "sleep 60 & wait"}}}}, io.Discard)
	if r.outcome != outcomeFailed || time.Since(start) > 10*time.Second {
		t.Errorf("outcome %s after %v", r.outcome, time.Since(start))
	}
}

func TestTableNamesEveryPartAndItsTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printTable(&out, []result{
		{part: "unit", outcome: outcomePassed, took: 90 * time.Second, tests: tally{passed: 12}},
		{part: "e2e", outcome: outcomeFailed, took: 3 * time.Second, tests: tally{passed: 1, failed: 1}, note: "go test -v: exit status 1"},
	}, 93*time.Second)
	want := `
PART  RESULT  TOOK   PASSED  FAILED  SKIPPED  NOTE
unit  ok      1m30s  12      0       0        
e2e   FAILED  3.0s   1       1       0        go test -v: exit status 1
all           1m33s  13      1       0        
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
