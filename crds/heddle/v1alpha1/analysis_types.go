package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Percentage is a share of requests, such as 0.5%.
//
// +kubebuilder:validation:MaxLength=8
// +kubebuilder:validation:Pattern=`^[0-9]{1,2}([.][0-9]{1,4})?%$`
// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="must be above 0%"
type Percentage string

// CanaryComparison judges a candidate by the primary that serves at the same
// time: a trouble that both have is none of the candidate's. It looks at every
// interval, and the limits on mistakes hold however many looks there are.
type CanaryComparison struct {
	// Alpha is how likely it may be that a candidate is rolled back although it
	// is no worse than it may be, and, step by step, that it gets more traffic
	// although it is; 5% by default.
	// +optional
	// +kubebuilder:default="5%"
	Alpha Percentage `json:"alpha,omitempty"`
	// ErrorIncrease is the least harm that matters: a candidate fails when
	// certainly its share of failed requests is larger than the primary's by
	// more than this. It gets more traffic when certainly less than this is
	// added to the share of failed requests of all clients together; 1% by
	// default.
	// +optional
	// +kubebuilder:default="1%"
	ErrorIncrease Percentage `json:"errorIncrease,omitempty"`
	// SlowIncrease is the same for the share of requests that take longer than
	// 99 % of the primary's did in the hour before; 5% by default.
	// +optional
	// +kubebuilder:default="5%"
	SlowIncrease Percentage `json:"slowIncrease,omitempty"`
}

// CanaryStep is one planned share of the requests.
//
// +kubebuilder:validation:XValidation:rule="self.weight > 0 || has(self.matchRef) || has(self.iterations)",message="the candidate would get no request; set weight or matchRef, or iterations for what hooks do with it"
type CanaryStep struct {
	// Weight is the percentage of requests that the candidate gets; 0 is for
	// steps with a matchRef, and for those in which only hooks call it.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// MatchRef names an HTTPRouteGroup of the namespace: requests that it
	// describes all go to the candidate, the others by weight.
	// +optional
	MatchRef *LocalReference `json:"matchRef,omitempty"`
	// Iterations is how many checks must pass in this step; 1 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Iterations int32 `json:"iterations,omitempty"`
	// Duration is the shortest stay in this step, however good it looks; the
	// deadline counts from its end.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="duration must be between 0s and 720h"
	Duration metav1.Duration `json:"duration,omitempty,omitzero"`
	// Pause waits for somebody's approval after this step has passed. The
	// metrics are judged meanwhile, and there is no deadline.
	// +optional
	Pause bool `json:"pause,omitempty"`
}

// CanaryCohort is what tells users apart. Requests without it are shared one by one.
//
// +kubebuilder:validation:XValidation:rule="has(self.header) != has(self.cookie)",message="name either a header or a cookie"
type CanaryCohort struct {
	// Header whose value is the user's. Where apps pass it on, one user gets the
	// candidates of several Canaries at the same weights.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
	Header string `json:"header,omitempty"`
	// Cookie whose value is the user's; it is never set by the mesh.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
	Cookie string `json:"cookie,omitempty"`
}

// CanaryAnalysis says how traffic moves to a candidate.
//
// +kubebuilder:validation:XValidation:rule="!has(self.onlyChecks) || !self.onlyChecks || has(self.checks) && self.checks.size() > 0",message="with onlyChecks nothing would be judged; add a check"
// +kubebuilder:validation:XValidation:rule="!has(self.onlyChecks) || !self.onlyChecks || !has(self.comparison)",message="comparison counts answers, which onlyChecks leaves out; leave out either"
// +kubebuilder:validation:XValidation:rule="!has(self.steps) || self.stepWeights == [10, 25, 50]",message="steps and stepWeights both list weights; leave out stepWeights"
// +kubebuilder:validation:XValidation:rule="!has(self.comparison) || (self.successRate == 99 && self.latency == '500ms' && self.minRequests == 1)",message="successRate, latency and minRequests are fixed limits, which comparison takes the place of; leave out either"
type CanaryAnalysis struct {
	// Interval between two looks at the metrics, and the window they are taken
	// over; 60s by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="interval must be between 1s and 1h"
	Interval metav1.Duration `json:"interval,omitempty,omitzero"`
	// StepWeights are the percentages of requests that the candidate gets, one
	// step after the other; 10, 25, 50 by default.
	// +optional
	// +listType=atomic
	// +kubebuilder:default={10,25,50}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=100
	// +kubebuilder:validation:XValidation:rule="self.isSorted() && self.all(w, self.exists_one(v, v == w))",message="stepWeights must rise from step to step"
	StepWeights []int32 `json:"stepWeights,omitempty"`
	// Steps are the same where a step is more than a weight.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight && has(t.matchRef) == has(s.matchRef)))",message="weights must rise from step to step"
	Steps []CanaryStep `json:"steps,omitempty"`
	// Cohort has users who saw the candidate see it at every later weight, too, and
	// the others the primary until their turn comes.
	// +optional
	Cohort *CanaryCohort `json:"cohort,omitempty"`
	// Threshold is how many failed checks roll a release back; 1 by default.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Threshold int32 `json:"threshold,omitempty"`
	// SuccessRate is the least percentage of requests that must not be
	// answered with a 5xx or a gRPC server error; 99 by default.
	// +optional
	// +kubebuilder:default=99
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SuccessRate *int32 `json:"successRate,omitempty"`
	// Latency is how long the slowest hundredth may take; 500ms by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:default="500ms"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="latency must be above zero"
	Latency metav1.Duration `json:"latency,omitempty,omitzero"`
	// MinRequests is how many requests in an interval are enough to judge by.
	// With fewer the release waits; 1 by default.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	MinRequests int32 `json:"minRequests,omitempty"`
	// Comparison judges a candidate by the primary instead of by the fixed
	// limits successRate, latency and minRequests. With it, threshold is about
	// pods that are not ready: a failed comparison is final.
	// +optional
	Comparison *CanaryComparison `json:"comparison,omitempty"`
	// Checks are further metrics that must keep to a range.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Checks []CanaryCheck `json:"checks,omitempty"`
	// OnlyChecks judges by checks alone: answers are neither counted nor timed.
	// It is for what isn't HTTP.
	// +optional
	OnlyChecks bool `json:"onlyChecks,omitempty"`
	// Hooks are asked, or told, about a release.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Hooks []CanaryHook `json:"hooks,omitempty"`
	// Alerts tell people.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Alerts []CanaryAlert `json:"alerts,omitempty"`
}
