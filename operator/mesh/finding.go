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
	// UID tells an object from another that had its name before.
	UID string
}

// Key returns the object's name without what of it may be another tomorrow.
func (r ObjectRef) Key() ObjectKey { return ObjectKey{r.Group, r.Kind, r.Namespace, r.Name} }

// String returns "Kind namespace/name".
func (r ObjectRef) String() string { return r.Key().String() }

// ObjectKey names a Kubernetes object, whatever its version and generation.
type ObjectKey struct{ Group, Kind, Namespace, Name string }

// String returns "Kind namespace/name".
func (k ObjectKey) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// Report is all that is to be said of one object. It is immutable.
type Report struct {
	Object   ObjectRef
	Findings []Finding
}

// Reports are those of all objects that the build reads and has something to
// say about. An object that is gone has none.
type Reports = Table[ObjectKey, *Report]

// Problem is one of several things that are wrong with an object.
type Problem struct{ Reason, Message string }
