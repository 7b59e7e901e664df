package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

func TestBar(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		percent int64
		want    string
	}{
		"is empty at 0":               {0, "░░░░░░░░░░   0%"},
		"shows a little as something": {1, "█░░░░░░░░░   1%"},
		"is half full at 50":          {50, "█████░░░░░  50%"},
		"is not full before 100":      {99, "█████████░  99%"},
		"is full at 100":              {100, "██████████ 100%"},
		"bears a number out of range": {-5, "░░░░░░░░░░   0%"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := bar(tc.percent); got != tc.want {
				t.Errorf("bar(%d) = %q, want %q", tc.percent, got, tc.want)
			}
		})
	}
}

func TestCanaryGet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args    []string
		want    []string
		wantErr string
	}{
		"prints all of the namespace":          {args: []string{"canary", "get"}, want: []string{"cart", "web", "██░░░░░░░░  20%"}},
		"prints the namespace with -A":         {args: []string{"canary", "get", "-A"}, want: []string{"NAMESPACE", "shop"}},
		"prints one as YAML":                   {args: []string{"canary", "get", "cart", "-o", "yaml"}, want: []string{"kind: Canary", "name: cart"}},
		"says that there is none of that name": {args: []string{"canary", "get", "nope"}, wantErr: `"nope"`},
		"refuses a name in all namespaces":     {args: []string{"canary", "get", "cart", "-A"}, wantErr: "leave out -A"},
		"refuses to watch as JSON":             {args: []string{"canary", "get", "-w", "-o", "json"}, wantErr: "leave out -o"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := healthy(t)
			m.objects = append(m.objects, canary("web", "Succeeded", 0, 0, ""), canary("cart", "Progressing", 20, 1, "success rate 99.4 %"))
			out, err := m.heddle(t, tc.args...)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error = %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

func TestCanaryWatchGoldenOutput(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := newCanaryLog(&out, false, func() time.Time { return noon })
	w := watch.NewFake()
	go func() {
		defer w.Stop()
		for _, o := range []*unstructured.Unstructured{
			canary("cart", "Idle", 0, 0, "waiting for a new revision"),
			canary("cart", "Progressing", 10, 0, "step 1 of 5"),
			canary("cart", "Progressing", 10, 0, "the same but for the words"),
			canary("cart", "Progressing", 30, 0, "step 2 of 5"),
			canary("cart", "Progressing", 30, 1, "success rate 80.1 %, wanted 99 %"),
			canary("cart", "RollingBack", 0, 1, "success rate 80.1 %, wanted 99 %"),
			canary("other", "Idle", 0, 0, ""),
		} {
			w.Modify(o)
		}
		w.Delete(canary("cart", "Failed", 0, 1, ""))
	}()
	l.follow(context.Background(), w, canarySelection{namespace: "shop", name: "cart"})
	golden(t, "canary-watch.txt", out.String())
}

func TestCanaryWithoutStatusIsShownAsNotSeen(t *testing.T) {
	t.Parallel()
	o := canary("cart", "", 0, 0, "")
	delete(o.Object, "status")
	if got := readCanary(o); got.phase != "(not seen yet)" || got.weight != 0 {
		t.Errorf("line = %+v", got)
	}
}
