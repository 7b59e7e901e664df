package metricsapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// Group is the API group of TrafficMetrics.
	Group = "metrics.smi-spec.io"

	defaultWindow = 30 * time.Second
	longestWindow = 24 * time.Hour
)

// Versions are those that are served, the preferred one first.
var Versions = []string{"v1alpha2", "v1alpha1"}

// kind is a kind of object that has metrics.
type kind struct {
	// Kind names the object, Resource it is called in paths.
	Kind, Resource string
	// Source is where objects of the kind are found.
	Source     schema.GroupVersionResource
	Namespaced bool
}

const (
	kindNamespace  = "Namespace"
	kindNode       = "Node"
	kindPod        = "Pod"
	kindService    = "Service"
	kindDeployment = "Deployment"
	kindReplicaSet = "ReplicaSet"
	kindSplit      = "TrafficSplit"
)

// kinds are all that the specification lists.
var kinds = []kind{
	{kindNamespace, "namespaces", gvr("", "v1", "namespaces"), false},
	{kindNode, "nodes", gvr("", "v1", "nodes"), false},
	{kindPod, "pods", gvr("", "v1", "pods"), true},
	{kindService, "services", gvr("", "v1", "services"), true},
	{"ReplicationController", "replicationcontrollers", gvr("", "v1", "replicationcontrollers"), true},
	{kindDeployment, "deployments", gvr("apps", "v1", "deployments"), true},
	{"StatefulSet", "statefulsets", gvr("apps", "v1", "statefulsets"), true},
	{"DaemonSet", "daemonsets", gvr("apps", "v1", "daemonsets"), true},
	{kindReplicaSet, "replicasets", gvr("apps", "v1", "replicasets"), true},
	{"Job", "jobs", gvr("batch", "v1", "jobs"), true},
	{kindSplit, "trafficsplits", gvr("split.smi-spec.io", "v1alpha4", "trafficsplits"), true},
}

func gvr(group, version, name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: name}
}

func kindNamed(resource string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.Resource == resource })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// request is what a path below a version asks for.
type request struct {
	Version string
	Kind    kind
	// Namespace is empty for all, and for namespaces themselves.
	Namespace string
	// Name is empty for a list.
	Name  string
	Edges bool

	Window   time.Duration
	Selector labels.Selector
	// Written is the same as it is told in an answer, nil for none.
	Written *metav1.LabelSelector
}

// readPath reads the parts of a path after the group. It returns false for what
// is no such path.
func readPath(parts []string) (r request, ok bool) {
	if len(parts) < 2 || !slices.Contains(Versions, parts[0]) {
		return r, false
	}
	r.Version, parts = parts[0], parts[1:]
	if parts[len(parts)-1] == "edges" && len(parts) > 2 {
		r.Edges, parts = true, parts[:len(parts)-1]
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		r.Namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 2 || slices.Contains(parts, "") {
		return r, false
	}
	if r.Kind, ok = kindNamed(parts[0]); !ok || r.Namespace != "" && !r.Kind.Namespaced {
		return r, false
	}
	if len(parts) == 2 {
		r.Name = parts[1]
	}
	// One of a namespace is named together with it; only one has edges.
	return r, r.Name == "" && !r.Edges || r.Name != "" && (r.Namespace != "" || !r.Kind.Namespaced)
}

// readQuery reads what a query adds. The error names the parameter.
func (r *request) readQuery(query url.Values) error {
	r.Window, r.Selector = defaultWindow, labels.Everything()
	if text := query.Get("t"); text != "" {
		window, err := time.ParseDuration(text)
		if err != nil || window < time.Second || window > longestWindow {
			return fmt.Errorf("t: %q is no duration from 1s to %s; write one as in t=5m", text, longestWindow)
		}
		r.Window = window
	}
	text := query.Get("labelSelector")
	if text == "" {
		return nil
	}
	if r.Name != "" {
		return fmt.Errorf("labelSelector: it selects from a list, and %s is one object; leave one of the two out", strings.TrimSpace(r.Name))
	}
	selector, err := labels.Parse(text)
	if err != nil {
		return fmt.Errorf("labelSelector: %w", err)
	}
	r.Selector = selector
	// What can't be told again, such as a > 1, still selects.
	r.Written, _ = metav1.ParseToLabelSelector(text)
	return nil
}
