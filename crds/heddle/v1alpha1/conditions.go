package v1alpha1

// Condition types. They say the good thing when True, except for Conflicted,
// Stalled and Reconciling, which are only there while it is not so.
const (
	// ConditionAccepted: the object makes sense by itself and is part of the
	// mesh's configuration.
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs: everything the object refers to exists and can
	// be used.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionProgrammed: every connected proxy that this object concerns
	// has acknowledged this generation of it.
	ConditionProgrammed = "Programmed"
	// ConditionConflicted: another object has a better claim on the same
	// thing, so this one, or part of it, has no effect.
	ConditionConflicted = "Conflicted"
	// ConditionStalled: nothing will come of the object until it is edited.
	// Like Reconciling it is for generic tools (kstatus), and only there while
	// that is so.
	ConditionStalled = "Stalled"
	// ConditionReconciling: proxies have yet to follow.
	ConditionReconciling = "Reconciling"
)

// Reasons for which a condition is as it should be.
const (
	// ReasonAccepted goes with Accepted=True.
	ReasonAccepted = "Accepted"
	// ReasonResolvedRefs goes with ResolvedRefs=True.
	ReasonResolvedRefs = "ResolvedRefs"
	// ReasonProgrammed goes with Programmed=True.
	ReasonProgrammed = "Programmed"
)

// Reasons for Accepted=False: the object has no effect, or, with NoBackends and
// AllWeightsZero, none but that requests are refused.
const (
	// ReasonInvalid: a field has a value that can't be used.
	ReasonInvalid = "Invalid"
	// ReasonInvalidRegex: an expression isn't RE2, or is too long or costly.
	ReasonInvalidRegex = "InvalidRegex"
	// ReasonInvalidWeight: a weight is negative or too large.
	ReasonInvalidWeight = "InvalidWeight"
	// ReasonNoBackends: a split has no backend, so its requests get a 503.
	ReasonNoBackends = "NoBackends"
	// ReasonAllWeightsZero: no backend may get a request, so all get a 503.
	ReasonAllWeightsZero = "AllWeightsZero"
	// ReasonCrossNamespaceDestination: a target's destination is in another
	// namespace; only its owner may open it.
	ReasonCrossNamespaceDestination = "CrossNamespaceDestination"
	// ReasonUnsupported: the specification allows it, Heddle doesn't do it.
	ReasonUnsupported = "Unsupported"
	// ReasonIgnoredName: a MeshConfig isn't the one named default.
	ReasonIgnoredName = "IgnoredName"
)

// Reasons for ResolvedRefs=False. What was referred to counts as absent, and
// never as a reason to allow more or to send traffic elsewhere.
const (
	// ReasonServiceNotFound: the root service of a split doesn't exist.
	ReasonServiceNotFound = "ServiceNotFound"
	// ReasonBackendNotFound: a backend doesn't exist; its share gets a 500.
	ReasonBackendNotFound = "BackendNotFound"
	// ReasonBackendNoEndpoints: a backend has no ready endpoint; its share
	// gets a 503.
	ReasonBackendNoEndpoints = "BackendNoEndpoints"
	// ReasonPortMismatch: a backend lacks a port of the root service and is
	// left out for that port.
	ReasonPortMismatch = "PortMismatch"
	// ReasonRouteNotFound: an HTTPRouteGroup or TCPRoute doesn't exist.
	ReasonRouteNotFound = "RouteNotFound"
	// ReasonMatchNotFound: an HTTPRouteGroup has no match of that name.
	ReasonMatchNotFound = "MatchNotFound"
	// ReasonInvalidKind: a reference is to a kind that can't stand there.
	ReasonInvalidKind = "InvalidKind"
	// ReasonTargetNotFound: what a Canary is about doesn't exist.
	ReasonTargetNotFound = "TargetNotFound"
)

// Reasons for Programmed=False.
const (
	// ReasonPending: some proxies have yet to acknowledge.
	ReasonPending = "Pending"
	// ReasonRejected: a proxy refused it and keeps what it had.
	ReasonRejected = "Rejected"
	// ReasonNotAccepted: nothing was sent, because it isn't Accepted.
	ReasonNotAccepted = "NotAccepted"
)

// Reasons for Conflicted=True.
const (
	// ReasonOlderSplit: an older split without matches has the same root.
	ReasonOlderSplit = "OlderSplit"
	// ReasonOwnedElsewhere: another controller writes the object.
	ReasonOwnedElsewhere = "OwnedElsewhere"
)
