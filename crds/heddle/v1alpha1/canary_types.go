package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CanaryPhase says where a release stands.
//
// +kubebuilder:validation:Enum=Initializing;Idle;Progressing;Waiting;Promoting;Finalizing;Succeeded;RollingBack;Failed;Aborted
type CanaryPhase string

// Canary releases new revisions of a Deployment step by step. A copy of it,
// named <target>-primary, serves what was last promoted; the Deployment itself
// becomes the place for candidates, and has no pods between releases.
//
// Deleting a Canary leaves the primary serving; only its TrafficSplit goes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=canaries,singular=canary,shortName=hcan,categories={heddle,mesh}
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.status.weight`,description="Percentage of requests that the candidate gets."
// +kubebuilder:printcolumn:name="Step",type=integer,JSONPath=`.status.step`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failures`,description="Checks that failed in this release."
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRef.name`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Canary struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the user asks for; Heddle never writes it.
	// +required
	Spec CanarySpec `json:"spec"`
	// Status is where the release stands.
	// +optional
	Status CanaryStatus `json:"status,omitempty,omitzero"`
}

// CanarySpec says what is released and how.
//
// +kubebuilder:validation:XValidation:rule="has(self.service.name) || !self.targetRef.name.contains('.')",fieldPath=".service.name",message="no Service can have the target's name; name the Service"
type CanarySpec struct {
	// TargetRef names the Deployment, in the namespace of the Canary.
	// +required
	TargetRef CanaryTargetRef `json:"targetRef"`

	// Service is what clients call.
	// +required
	Service CanaryService `json:"service"`

	// AutoscalerRef names what scales the target. The primary is scaled by a copy of
	// it, named NAME-primary; the original scales candidates.
	// +optional
	AutoscalerRef *CanaryAutoscalerRef `json:"autoscalerRef,omitempty"`

	// Analysis says how fast traffic moves and what stops it.
	// +optional
	Analysis CanaryAnalysis `json:"analysis,omitempty,omitzero"`

	// ProgressDeadlineSeconds is how long a release may stay in one step, for
	// want of ready pods or of requests to judge, before it is rolled back.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=10
	ProgressDeadlineSeconds int32 `json:"progressDeadlineSeconds,omitempty"`

	// SkipAnalysis promotes a new revision as soon as its pods are ready.
	// +optional
	SkipAnalysis bool `json:"skipAnalysis,omitempty"`

	// Suspend stops everything where it stands; traffic stays as it is.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// CanaryAutoscalerRef names an autoscaler.
type CanaryAutoscalerRef struct {
	// APIVersion is autoscaling/v2.
	// +optional
	// +kubebuilder:default=autoscaling/v2
	// +kubebuilder:validation:Enum=autoscaling/v2
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind is HorizontalPodAutoscaler.
	// +optional
	// +kubebuilder:default=HorizontalPodAutoscaler
	// +kubebuilder:validation:Enum=HorizontalPodAutoscaler
	Kind string `json:"kind,omitempty"`
	// Name of the autoscaler. Room is left for "-primary".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=245
	Name string `json:"name"`
}

// CanaryTargetRef names a workload.
type CanaryTargetRef struct {
	// APIVersion is apps/v1.
	// +optional
	// +kubebuilder:default=apps/v1
	// +kubebuilder:validation:Enum=apps/v1
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind is Deployment.
	// +optional
	// +kubebuilder:default=Deployment
	// +kubebuilder:validation:Enum=Deployment
	Kind string `json:"kind,omitempty"`
	// Name of the Deployment. Room is left for "-primary".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=55
	Name string `json:"name"`
}

// CanaryService describes the root service. A Service of that name is taken
// over: of its spec only the selector changes. Without one, it is made.
type CanaryService struct {
	// Name of the root service; the name of the target by default.
	// +optional
	// +kubebuilder:validation:MaxLength=55
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// Port that clients call.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// TargetPort is the port of the pods; the same as Port by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort int32 `json:"targetPort,omitempty"`
	// PortName names the port; http by default.
	// +optional
	// +kubebuilder:default=http
	// +kubebuilder:validation:MaxLength=15
	PortName string `json:"portName,omitempty"`
	// AppProtocol says what is spoken on the port; http by default.
	// +optional
	// +kubebuilder:default=http
	// +kubebuilder:validation:MaxLength=63
	AppProtocol string `json:"appProtocol,omitempty"`
}

// CanaryStatus is all that the controller remembers.
type CanaryStatus struct {
	// Phase says where the release stands.
	// +optional
	Phase CanaryPhase `json:"phase,omitempty"`
	// Message says why, for people.
	// +optional
	Message string `json:"message,omitempty"`
	// Revision is the hash of the pod template last decided about.
	// +optional
	Revision string `json:"revision,omitempty"`
	// PromotedRevision is the hash of what the primary serves.
	// +optional
	PromotedRevision string `json:"promotedRevision,omitempty"`
	// Step counts from 1; 0 is before the first.
	// +optional
	Step int32 `json:"step"`
	// Weight is the percentage of requests that the candidate gets.
	// +optional
	Weight int32 `json:"weight"`
	// Match names the HTTPRouteGroup whose requests all go to the candidate.
	// +optional
	Match string `json:"match,omitempty"`
	// Passes counts the checks that passed in this step.
	// +optional
	Passes int32 `json:"passes,omitempty"`
	// Failures counts the failed checks of this release.
	// +optional
	Failures int32 `json:"failures"`
	// EnteredAt is when the phase, or the step in it, began.
	// +optional
	EnteredAt metav1.Time `json:"enteredAt,omitempty,omitzero"`
	// CheckedAt is when metrics were last judged.
	// +optional
	CheckedAt metav1.Time `json:"checkedAt,omitempty,omitzero"`
	// Paused is that somebody asked to stay in this step.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Aborting is that somebody asked to roll this release back.
	// +optional
	Aborting bool `json:"aborting,omitempty"`
	// Awaits is the kind of hook that has to confirm what comes next.
	// +optional
	Awaits CanaryHookType `json:"awaits,omitempty"`
	// HandledRequest is the value of annotation heddle.dev/request that was
	// last answered. It is not answered again.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	HandledRequest string `json:"handledRequest,omitempty"`
	// Evidence is what comparing with the primary has brought to light in this
	// release.
	// +optional
	Evidence *CanaryEvidence `json:"evidence,omitempty"`
	// ObservedGeneration is the generation of the spec that this is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions are Accepted, ResolvedRefs and, while it holds, Conflicted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CanaryEvidence are the numbers that a comparison goes by.
type CanaryEvidence struct {
	// CountedAt is up to when requests were counted.
	// +optional
	CountedAt metav1.Time `json:"countedAt,omitempty,omitzero"`
	// Canary counts the candidate's requests.
	// +optional
	Canary CanaryCounts `json:"canary,omitempty,omitzero"`
	// Primary counts the primary's requests meanwhile.
	// +optional
	Primary CanaryCounts `json:"primary,omitempty,omitzero"`
	// Errors is what failed requests prove.
	// +optional
	Errors CanaryProof `json:"errors,omitempty,omitzero"`
	// Slow is what slow requests prove.
	// +optional
	Slow CanaryProof `json:"slow,omitempty,omitzero"`
}

// CanaryCounts are numbers of requests.
type CanaryCounts struct {
	// Requests that were answered.
	// +optional
	Requests int64 `json:"requests"`
	// Errors are requests that failed.
	// +optional
	Errors int64 `json:"errors"`
	// Slow are requests that took long.
	// +optional
	Slow int64 `json:"slow"`
}

// CanaryProof holds natural logarithms, in millionths, of what stakes of 1
// have become that were bet on the outcomes of requests. Above the logarithm of
// 1/alpha their mean is a proof.
type CanaryProof struct {
	// Worse was bet on the candidate being worse than it may be.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Worse []int64 `json:"worse,omitempty"`
	// Safe was bet on more traffic doing no harm, in this step.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Safe []int64 `json:"safe,omitempty"`
}

// CanaryList is a list of Canaries.
//
// +kubebuilder:object:root=true
type CanaryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Canary `json:"items"`
}
