package mesh

// Finding is what the build has to say about one object: the statement of a
// condition and, when something is wrong, what to do about it.
type Finding struct {
	Object ObjectRef
	// Type is a condition type such as Accepted or ResolvedRefs.
	Type string
	// OK is the condition's status.
	OK bool
	// Reason is a CamelCase word; Message names the field and the remedy.
	Reason  string
	Message string
	// Problems are what the message is made of, each by itself; empty if there
	// is but one thing to say.
	Problems []Problem
}

// ObjectRef names a Kubernetes object.
type ObjectRef struct {
	Group      string
	Version    string
	Kind       string
	Namespace  string
	Name       string
	Generation int64
}

// String returns "Kind namespace/name".
func (r ObjectRef) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Problem is one of several things that are wrong with an object.
type Problem struct{ Reason, Message string }
