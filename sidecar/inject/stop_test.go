package inject

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAppsGoOnWhileCallersHearOfTheirEnd(t *testing.T) {
	t.Parallel()
	own := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"bye"}}}
	tests := map[string]struct {
		change func(*corev1.Pod)
		older  bool
		// want is in seconds, 0 for none.
		want    int64
		wantOwn bool
		wantErr string
	}{
		"by default":                         {want: 3},
		"of a short grace period a third":    {change: func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr(int64(7)) }, want: 2},
		"without a grace period not at all":  {change: func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr(int64(0)) }},
		"as the pod says":                    {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "12s" }, want: 12},
		"less than the grace period":         {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "1m" }, want: 29},
		"not at all if the pod says so":      {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "0s" }},
		"not a duration":                     {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "soon" }, wantErr: AnnotationAppStopDelay},
		"no whole seconds":                   {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "1500ms" }, wantErr: "whole seconds"},
		"less than nothing":                  {change: func(p *corev1.Pod) { p.Annotations[AnnotationAppStopDelay] = "-1s" }, wantErr: "whole seconds"},
		"an API server that can't":           {older: true},
		"a Job's pod":                        {change: func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }},
		"a container with a hook of its own": {change: func(p *corev1.Pod) { p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: own} }, wantOwn: true},
		"a container with another hook": {change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: own}
		}, want: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			cfg.SleepAction = !tt.older
			out, _, err := Inject(app(tt.change), meshed(), cfg)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got int64
			hasOwn := false
			if l := out.Spec.Containers[0].Lifecycle; l != nil && l.PreStop != nil {
				hasOwn = l.PreStop.Exec != nil
				if l.PreStop.Sleep != nil {
					got = l.PreStop.Sleep.Seconds
				}
			}
			if got != tt.want || hasOwn != tt.wantOwn {
				t.Errorf("%d s, its own hook %v; want %d s, %v", got, hasOwn, tt.want, tt.wantOwn)
			}
		})
	}
}
