package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

func newCanaryPlanCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "plan NAME", Short: "Print what the next release will do, step by step", Args: cobra.ExactArgs(1),
		Example: fmt.Sprintf("  %s canary plan checkout -n shop", o.program),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect(o.flags)
			if err != nil {
				return err
			}
			found, err := c.objects.Resource(canaryResource).Namespace(c.namespace).Get(cmd.Context(), args[0], metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("get canary %s: %w", args[0], err)
			}
			canary := &heddlev1alpha1.Canary{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, canary); err != nil {
				return fmt.Errorf("read canary %s: %w", args[0], err)
			}
			t := &table{}
			t.add("AT THE EARLIEST", "TRAFFIC", "GOES ON WHEN")
			for _, row := range schedule(&canary.Spec) {
				t.add(row...)
			}
			t.print(o.streams.Out)
			fmt.Fprintln(o.streams.Out, "\n"+ending(&canary.Spec))
			return nil
		},
	}
}

// schedule has a row for each step: when, how much, and until what. Times are
// those of a release that passes every check; pauses come on top.
func schedule(spec *heddlev1alpha1.CanarySpec) [][]string {
	a := spec.Analysis
	first := append(confirms(a, "confirm-rollout"), "pods of the candidate are ready")
	first = append(first, confirms(a, "pre-rollout", "confirm-traffic-increase")...)
	rows := [][]string{{"+0s", bar(0), strings.Join(first, ", ")}}
	steps := a.Steps
	for _, w := range a.StepWeights {
		if len(a.Steps) == 0 {
			steps = append(steps, heddlev1alpha1.CanaryStep{Weight: w})
		}
	}
	if spec.SkipAnalysis {
		steps = nil
	}
	var at time.Duration
	interval := max(a.Interval.Duration, time.Second) // the schema's least
	for i, s := range steps {
		next, guard := int32(100), heddlev1alpha1.CanaryHookType("confirm-promotion")
		if i+1 < len(steps) {
			next, guard = max(1, steps[i+1].Weight), "confirm-traffic-increase"
		}
		until := append([]string{passes(a, s, next)}, confirms(a, guard)...)
		if s.Pause {
			until = append(until, "somebody approves")
		}
		traffic := bar(int64(s.Weight))
		if s.MatchRef != nil {
			traffic += " and all " + s.MatchRef.Name
		}
		rows = append(rows, []string{"+" + short(at), traffic, strings.Join(until, ", ")})
		// Looks come at intervals, so a duration ends with the first look at or after it.
		at += max(interval, time.Duration(s.Iterations)*interval, (s.Duration.Duration + interval - 1).Truncate(interval))
	}
	return append(rows,
		[]string{"+" + short(at), "promotion", "the primary's pods serve the new revision"},
		[]string{"", bar(0), "the candidate is scaled away"})
}

func passes(a heddlev1alpha1.CanaryAnalysis, s heddlev1alpha1.CanaryStep, next int32) string {
	var parts []string
	switch c := a.Comparison; {
	case a.OnlyChecks:
	case c != nil:
		parts = append(parts, fmt.Sprintf("proven no worse than the primary for %d %%: %s requests to the candidate or more", next, least(c, next)))
	default:
		rate := int32(99)
		if a.SuccessRate != nil {
			rate = *a.SuccessRate
		}
		parts = append(parts, fmt.Sprintf("in %s %d %% of the answers are good, 99 %% within %s", short(a.Interval.Duration), rate, short(a.Latency.Duration)))
	}
	for _, c := range a.Checks {
		parts = append(parts, c.Name+" is "+within(c))
	}
	if s.Iterations > 1 {
		parts = append(parts, fmt.Sprintf("%d times", s.Iterations))
	}
	if s.Duration.Duration > 0 {
		parts = append(parts, "after "+short(s.Duration.Duration))
	}
	return strings.Join(parts, ", ")
}

// confirms lists the hooks of the types that have to say yes.
func confirms(a heddlev1alpha1.CanaryAnalysis, types ...heddlev1alpha1.CanaryHookType) []string {
	var out []string
	for _, t := range types {
		for _, h := range a.Hooks {
			if h.Type == t {
				out = append(out, "hook "+h.Name+" says yes")
			}
		}
	}
	return out
}

func within(c heddlev1alpha1.CanaryCheck) string {
	switch {
	case c.Min == nil:
		return fmt.Sprint("at most ", c.Max.AsApproximateFloat64())
	case c.Max == nil:
		return fmt.Sprint("at least ", c.Min.AsApproximateFloat64())
	}
	return fmt.Sprint(c.Min.AsApproximateFloat64(), " to ", c.Max.AsApproximateFloat64())
}

// least is how many requests without any error a proof takes.
func least(c *heddlev1alpha1.CanaryComparison, next int32) string {
	share := func(p heddlev1alpha1.Percentage) float64 {
		v, err := strconv.ParseFloat(strings.TrimSuffix(string(p), "%"), 64)
		if err != nil {
			return math.NaN()
		}
		return v / 100
	}
	n := math.Ceil(-math.Log(share(c.Alpha)) / math.Min(0.5, share(c.ErrorIncrease)*100/float64(next)))
	if math.IsNaN(n) {
		return "enough"
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// ending says what else can become of a release.
func ending(spec *heddlev1alpha1.CanarySpec) string {
	deadline := short(time.Duration(spec.ProgressDeadlineSeconds) * time.Second)
	switch {
	case spec.Suspend:
		return "Nothing moves while spec.suspend is set."
	case spec.Analysis.Comparison != nil:
		return "It is rolled back when proven worse than the primary, or after " + deadline + " in one step without going on."
	}
	return fmt.Sprintf("It is rolled back after %d failed checks, or after %s in one step without going on.", spec.Analysis.Threshold, deadline)
}

// short leaves out what is zero at the end of a duration.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
