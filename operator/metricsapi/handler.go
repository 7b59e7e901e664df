package metricsapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Path is where the API server looks for the group.
const Path = "/apis/" + Group

// Objects finds what there is. An error is the API server's.
type Objects interface {
	// List returns the objects, of all namespaces where that is empty.
	List(ctx context.Context, of schema.GroupVersionResource, namespace string, selector labels.Selector) ([]mesh.ServiceKey, error)
	// Get returns an error if there is no such object.
	Get(ctx context.Context, of schema.GroupVersionResource, namespace, name string) error
}

// Flows tells what was answered; Prometheus does.
type Flows interface {
	Flows(ctx context.Context, namespace string, window time.Duration, now time.Time) ([]*Flow, error)
}

// Access admits requests.
type Access interface {
	// Allow returns an API error for one that is not to be answered. Discovery
	// has no kind.
	Allow(r *http.Request, attributes Attributes) error
}

// Attributes are what a request is about, as RBAC names it.
type Attributes struct{ Verb, Version, Resource, Subresource, Namespace, Name string }

// Handler serves the group below Path. All fields are required.
type Handler struct {
	Objects Objects
	Flows   Flows
	Access  Access
	// Snapshot returns the mesh as it is, nil before there is one.
	Snapshot func() *mesh.Snapshot
	Now      func() time.Time
	Log      logr.Logger
}

// ServeHTTP implements http.Handler.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := h.answer(r)
	if err != nil {
		var status apierrors.APIStatus
		if !errors.As(err, &status) {
			status = apierrors.NewInternalError(err)
		}
		answer := status.Status()
		answer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		h.write(w, int(answer.Code), answer)
		return
	}
	h.write(w, http.StatusOK, body)
}

func (h Handler) write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		h.Log.V(1).Info("an answer was not read to its end", "error", err.Error())
	}
}

func (h Handler) answer(r *http.Request) (any, error) {
	if r.Method != http.MethodGet {
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Group: Group}, strings.ToLower(r.Method))
	}
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, Path), "/")
	if body := discovery(rest); body != nil {
		return body, h.Access.Allow(r, Attributes{})
	}
	q, ok := readPath(strings.Split(rest, "/"))
	if !ok {
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			Message: "there is nothing at " + r.URL.Path + "; " + Path + "/" + Versions[0] + " lists what there is",
		}}
	}
	if err := h.Access.Allow(r, q.attributes()); err != nil {
		return nil, err
	}
	if err := q.readQuery(r.URL.Query()); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return h.metrics(r.Context(), q)
}

func (q request) attributes() Attributes {
	a := Attributes{Verb: "get", Version: q.Version, Resource: q.Kind.Resource, Namespace: q.Namespace, Name: q.Name}
	if q.Name == "" {
		a.Verb = "list"
	}
	if q.Edges {
		a.Subresource = "edges"
	}
	if q.Kind.Kind == kindNamespace {
		a.Namespace = q.Name // as for namespaces themselves
	}
	if q.Kind.Kind == kindNamespace && q.Edges {
		// What follows a namespace's name is of a kind in it: so the API server
		// reads the path, and a role that it goes by has to do here, too.
		a = Attributes{Verb: "list", Version: q.Version, Resource: "edges", Namespace: q.Name}
	}
	return a
}

func (h Handler) metrics(ctx context.Context, q request) (any, error) {
	objects, err := h.objects(ctx, q)
	if err != nil {
		return nil, err
	}
	snapshot, now := h.Snapshot(), h.Now()
	if snapshot == nil {
		return nil, apierrors.NewServiceUnavailable("the operator has not seen the mesh yet; try again in a moment")
	}
	about := q.Namespace
	if q.Kind.Kind == kindNamespace {
		about = q.Name
	}
	flows, err := h.Flows.Flows(ctx, about, q.Window, now)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable("metrics come from Prometheus, which does not answer: " + err.Error())
	}
	a := answers{index: newIndex(q.Kind, snapshot, flows), request: q, now: now}
	var items []*metricsv1alpha2.TrafficMetrics
	for _, object := range objects {
		items = append(items, a.of(object)...)
	}
	if q.Name != "" && !q.Edges && q.Kind.Kind != kindSplit {
		return items[0], nil
	}
	return a.list(&corev1.ObjectReference{Kind: q.Kind.Kind, Namespace: q.Namespace, Name: q.Name}, items), nil
}

// objects are those that the request is about.
func (h Handler) objects(ctx context.Context, q request) ([]named, error) {
	if q.Name != "" {
		return []named{{q.Namespace, q.Name}}, h.Objects.Get(ctx, q.Kind.Source, q.Namespace, q.Name)
	}
	found, err := h.Objects.List(ctx, q.Kind.Source, q.Namespace, q.Selector)
	if err != nil {
		return nil, err
	}
	out := make([]named, 0, len(found))
	for _, key := range found {
		out = append(out, named{key.Namespace, key.Name})
	}
	return out, nil
}

// discovery answers what the group and its versions are, nil if that is not asked.
func discovery(path string) any {
	group := metav1.APIGroup{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroup"}, Name: Group}
	for _, version := range Versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: Group + "/" + version, Version: version})
	}
	group.PreferredVersion = group.Versions[0]
	if path == "" {
		return group
	}
	for _, version := range group.Versions {
		if version.Version != path {
			continue
		}
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: version.GroupVersion}
		for _, k := range kinds {
			list.APIResources = append(list.APIResources,
				metav1.APIResource{Name: k.Resource, SingularName: strings.ToLower(k.Kind), Namespaced: k.Namespaced, Kind: "TrafficMetrics", Verbs: metav1.Verbs{"get", "list"}},
				metav1.APIResource{Name: k.Resource + "/edges", Namespaced: k.Namespaced, Kind: "TrafficMetricsList", Verbs: metav1.Verbs{"get"}})
		}
		return list
	}
	return nil
}
