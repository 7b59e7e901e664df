package xds

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one xDS resource, marshalled once and shared by every stream
// that sends it. It is immutable.
type Resource struct {
	// Name is the resource's xDS name. For a VirtualHost it includes the
	// route configuration's name ("outbound/10.96.0.7:80").
	Name string
	// Version is a hash of Body: equal bytes have equal versions on every
	// replica, so a proxy that reconnects elsewhere receives only what
	// differs.
	Version string
	// Body is the marshalled message with its type URL.
	Body *anypb.Any
	// entry is the resource as it stands in a response, with its tag: it is copied
	// there as it is, however many streams send it. Body's value is a part of it.
	entry []byte
	// Origin names the object that the resource was made from, for people
	// ("TrafficSplit shop/cart"). It is not part of the version.
	Origin string
	// assignment names the endpoints that a cluster takes by EDS.
	assignment string
	// own is the name that a listener gives itself; a proxy that refuses it
	// calls it so.
	own string
}

// NewResource marshals m deterministically. The error names the resource.
func NewResource(name, origin string, m proto.Message) (*Resource, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshal %s %q: %w", m.ProtoReflect().Descriptor().FullName(), name, err)
	}
	sum := sha256.Sum256(value)
	out := &Resource{
		Name:       name,
		Version:    hex.EncodeToString(sum[:8]),
		Body:       &anypb.Any{TypeUrl: typePrefix + string(m.ProtoReflect().Descriptor().FullName()), Value: value},
		Origin:     origin,
		assignment: assignmentOf(m),
		own:        ownName(m),
	}
	out.encode()
	return out, nil
}

// Numbers of the fields that are written (discovery.proto, any.proto).
const (
	fieldResponseResources = 2
	fieldResourceVersion   = 1
	fieldResourceName      = 3
	fieldResourceBody      = 2
	fieldAnyTypeURL        = 1
	fieldAnyValue          = 2
)

// encode writes the entry, the body's value last, and has the body share it.
func (r *Resource) encode() {
	bytes := func(number protowire.Number, n int) int { return protowire.SizeTag(number) + protowire.SizeBytes(n) }
	body := bytes(fieldAnyTypeURL, len(r.Body.GetTypeUrl())) + bytes(fieldAnyValue, len(r.Body.GetValue()))
	size := bytes(fieldResourceVersion, len(r.Version)) + bytes(fieldResourceName, len(r.Name)) + bytes(fieldResourceBody, body)
	out := make([]byte, 0, bytes(fieldResponseResources, size))
	open := func(number protowire.Number, n int) {
		out = protowire.AppendVarint(protowire.AppendTag(out, number, protowire.BytesType), uint64(n))
	}
	text := func(number protowire.Number, s string) {
		open(number, len(s))
		out = append(out, s...)
	}
	open(fieldResponseResources, size)
	text(fieldResourceVersion, r.Version)
	text(fieldResourceName, r.Name)
	open(fieldResourceBody, body)
	text(fieldAnyTypeURL, r.Body.GetTypeUrl())
	open(fieldAnyValue, len(r.Body.GetValue()))
	start := len(out)
	r.entry = append(out, r.Body.GetValue()...)
	r.Body.Value = r.entry[start:len(r.entry):len(r.entry)]
}

func ownName(m proto.Message) string {
	listener, ok := m.(*listenerv3.Listener)
	if !ok {
		return ""
	}
	return listener.GetName()
}

func assignmentOf(m proto.Message) string {
	cluster, ok := m.(*clusterv3.Cluster)
	if !ok || cluster.GetEdsClusterConfig() == nil {
		return ""
	}
	return cmp.Or(cluster.GetEdsClusterConfig().GetServiceName(), cluster.GetName())
}

// Client is who is at the other end of a stream, as proved by its token.
// Nothing in it comes from the node that Envoy sends.
type Client struct {
	Namespace      string
	Pod            string
	PodUID         string
	ServiceAccount string
}

// PodKey identifies a pod by namespace and name.
type PodKey struct{ Namespace, Name string }

// Snapshot is an immutable answer to every question a proxy may ask. Its
// methods are called by many streams at once and must not block.
type Snapshot interface {
	// Resource returns the named resource as this client may see it, or nil
	// where there is none or the client has no business with it. Two calls
	// for the same resource should return the same pointer.
	Resource(c Client, typeURL, name string) *Resource
	// Wildcard lists the names of that type that the client gets without
	// asking for them by name. The caller must not change the slice.
	Wildcard(c Client, typeURL string) []string
	// InWildcard is true for those names, and costs no list.
	InWildcard(c Client, typeURL, name string) bool
}

// Change says what may differ between a snapshot and the one before it. What
// it leaves out is promised to be the same, so the cost of a publication
// follows the change and not the mesh.
type Change struct {
	// Names are the resources that appeared, disappeared or may differ for some
	// client, by type URL.
	Names map[string][]string
	// Groups are those of Options.Group: any name in one of them may differ.
	// They stand for resources made on demand, which can't be listed.
	Groups []string
	// All says that any name in any group may differ.
	All bool
	// Pods are those whose wildcard sets may have changed although no
	// resource did, such as a pod that has only now been seen.
	Pods []PodKey
}

// Issuer signs the key that a proxy made.
type Issuer interface {
	// Identity returns the Secret for the client's own identity, made from
	// the public key of the certificate request, and the moments when it
	// should be renewed and when it expires. The identity is c's, whatever
	// the request says.
	Identity(c Client, csrPEM []byte) (secret *Resource, renewAt, expires time.Time, err error)
}
