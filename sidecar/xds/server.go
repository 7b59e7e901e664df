package xds

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	defaultSendTimeout = 20 * time.Second
	defaultMaxNames    = 200_000
)

// Options are what a Server works with. Issuer and Client are required.
type Options struct {
	// Issuer signs the proxies' keys.
	Issuer Issuer
	// Client returns who opened the stream; the interceptor that verified the
	// token has put it into the context.
	Client func(context.Context) (Client, error)
	// CheckNode refuses a node that contradicts the client. Nil refuses none.
	CheckNode func(Client, *corev3.Node) error
	// Group returns the group of Change.Groups that a name is in, "" for none.
	// It must always return the same. Nil has no groups.
	Group func(typeURL, name string) string
	// Registerer takes the server's metrics; nil keeps them to itself.
	Registerer prometheus.Registerer
	// Log is for the operator's people. Neither requests for certificates nor
	// secrets are written to it.
	Log logr.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// SendTimeout is how long a proxy may leave a response unread before its
	// stream is cut off. Zero is 20 s.
	SendTimeout time.Duration
	// MaxNames is how many names one proxy may ask for or say it holds before
	// its stream is cut off. Zero is 200,000.
	MaxNames int
	// OnAnswer is called when a proxy has acknowledged or refused something,
	// or has left, by the goroutine of its stream; it must not block. Nil is
	// not called.
	OnAnswer func()
}

// Server is the delta ADS server. The zero value is not usable.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	opts    Options
	metrics *metrics
	// ready is closed by the first Publish; no stream is answered before.
	ready chan struct{}
	once  sync.Once
	snap  atomic.Pointer[Snapshot]
	// quarantine outlives the streams.
	quarantine *quarantine

	mu      sync.Mutex
	streams map[*stream]struct{}
	// named and wildcard find the streams that a changed resource concerns.
	named    map[string]map[string]map[*stream]struct{}
	wildcard map[string]map[*stream]struct{}
	// grouped are the names in named that are in a group.
	grouped map[string]map[resourceName]struct{}
	pods    map[PodKey]map[*stream]struct{}
}

// NewServer returns a server that answers nobody until the first Publish.
func NewServer(opts Options) (*Server, error) {
	if opts.Issuer == nil || opts.Client == nil {
		return nil, errors.New("xds server needs an issuer and a way to tell who a client is")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Group == nil {
		opts.Group = func(string, string) string { return "" }
	}
	if opts.SendTimeout == 0 {
		opts.SendTimeout = defaultSendTimeout
	}
	if opts.MaxNames == 0 {
		opts.MaxNames = defaultMaxNames
	}
	s := &Server{
		opts:       opts,
		metrics:    newMetrics(),
		ready:      make(chan struct{}),
		streams:    map[*stream]struct{}{},
		quarantine: newQuarantine(),
		named:      map[string]map[string]map[*stream]struct{}{},
		wildcard:   map[string]map[*stream]struct{}{},
		grouped:    map[string]map[resourceName]struct{}{},
		pods:       map[PodKey]map[*stream]struct{}{},
	}
	if opts.Registerer != nil {
		if err := s.metrics.register(opts.Registerer); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Register adds the aggregated discovery service, and no other, to the gRPC
// server, which must have been made with ServerOption.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(registrar, s)
}

// Publish makes the snapshot the one that proxies are served from and wakes
// the streams that the change concerns. It never waits for a proxy. Calls
// must not overlap.
func (s *Server) Publish(snapshot Snapshot, change Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.opts.Now()
	s.snap.Store(&snapshot)
	s.once.Do(func() { close(s.ready) })
	for typeURL, names := range change.Names {
		for _, name := range names {
			for st := range s.named[typeURL][name] {
				st.queue.add(typeURL, name, at)
			}
			for st := range s.wildcard[typeURL] {
				st.queue.add(typeURL, name, at)
			}
		}
	}
	if change.All {
		for group := range s.grouped {
			s.queueGroup(group, at)
		}
	} else {
		for _, group := range change.Groups {
			s.queueGroup(group, at)
		}
	}
	for _, pod := range change.Pods {
		for st := range s.pods[pod] {
			st.queue.recheck()
		}
	}
}

func (s *Server) queueGroup(group string, at time.Time) {
	for name := range s.grouped[group] {
		for st := range s.named[name.typeURL][name.name] {
			st.queue.add(name.typeURL, name.name, at)
		}
	}
}

// resourceName is the name of a resource among those of all types.
type resourceName struct{ typeURL, name string }

// Delivery says how far one version of a resource has come.
type Delivery struct {
	// Subscribed is how many connected proxies are to have the resource,
	// Acked how many of them hold this version.
	Subscribed, Acked int
	// Rejection is one of those who refused it, nil if nobody did.
	Rejection *Rejection
	// Pod is who refused it.
	Pod PodKey
}

// Delivered tells how far the version has come among the proxies connected to
// this server. An empty version stands for the one that each is to have by now,
// where they are not all to have the same. Its cost is that of the streams
// concerned.
func (s *Server) Delivered(typeURL, name, version string) Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d Delivery
	count := func(st *stream, named bool) {
		version := version
		if version == "" {
			if r := s.snapshot().Resource(st.client, typeURL, name); r != nil {
				version = r.Version
			}
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		sub := st.subscriptions[typeURL]
		has := sub.entries[name]
		if !named && !has.holds {
			return
		}
		d.Subscribed++
		if has.acked && has.sent == version {
			d.Acked++
		}
		if rejection, ok := sub.rejected[name]; ok && rejection.Version == version {
			d.Rejection, d.Pod = &rejection, st.pod()
		}
	}
	for st := range s.named[typeURL][name] {
		count(st, true)
	}
	for st := range s.wildcard[typeURL] {
		if _, both := s.named[typeURL][name][st]; !both {
			count(st, false)
		}
	}
	return d
}

// rejected books a refusal.
func (s *Server) rejected(st *stream, typeURL string, rejection Rejection) {
	s.metrics.rejected.WithLabelValues(rejection.Type).Inc()
	s.opts.Log.Info("a proxy refused a resource and keeps the one before",
		"namespace", st.client.Namespace, "pod", st.client.Pod, "type", rejection.Type,
		"name", rejection.Name, "origin", rejection.Origin, "message", rejection.Message)
	if typeURL != TypeSecret {
		s.quarantine.add(st.refusal(typeURL, rejection.Name, rejection.Version), rejection)
	}
}

// heard says that what is delivered may have changed.
func (s *Server) heard() {
	if s.opts.OnAnswer != nil {
		s.opts.OnAnswer()
	}
}

// ReissueAll has every proxy's certificate made anew, as after a change of
// the authority.
func (s *Server) ReissueAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		st.queue.reissue()
	}
}

func (s *Server) snapshot() Snapshot { return *s.snap.Load() }

// take returns what the stream has to look at and the snapshot to look in. It
// waits for a publication to be queued whole: from a half, what refers to
// something could be sent before that.
func (s *Server) take(st *stream) (work, Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.queue.take(), s.snapshot()
}

// DeltaAggregatedResources serves one proxy until it leaves, the context ends
// or it stops reading.
func (s *Server) DeltaAggregatedResources(rpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	ctx, cancel := context.WithCancel(rpc.Context())
	defer cancel()
	client, err := s.opts.Client(ctx)
	if err != nil {
		return err
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	st := newStream(s, rpc, client)
	s.add(st)
	defer func() {
		s.remove(st)
		s.heard()
	}()

	requests := make(chan *discoveryv3.DeltaDiscoveryRequest)
	failed := make(chan error, 2)
	go func() { failed <- receive(ctx, rpc, requests) }()
	go func() { failed <- st.run(ctx, requests) }()
	select {
	case err := <-failed:
		return err
	case <-st.stalled:
		// The sender is blocked; it ends when this handler has returned.
		s.metrics.stalled.Inc()
		s.opts.Log.Info("cut off a proxy that does not read", "namespace", client.Namespace, "pod", client.Pod)
		return status.Error(codes.ResourceExhausted, "the proxy did not read a response in time")
	}
}

func receive(ctx context.Context, rpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, to chan<- *discoveryv3.DeltaDiscoveryRequest) error {
	for {
		request, err := rpc.Recv()
		if err != nil {
			return err
		}
		select {
		case to <- request:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Server) add(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[st] = struct{}{}
	insert(s.pods, st.pod(), st)
	s.metrics.connected.Set(float64(len(s.streams)))
}

func (s *Server) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
	drop(s.pods, st.pod(), st)
	for typeURL, sub := range st.subscriptions {
		drop(s.wildcard, typeURL, st)
		st.mu.Lock()
		for name, e := range sub.entries {
			if e.named {
				s.unname(typeURL, name, st)
			}
		}
		st.mu.Unlock()
	}
	s.metrics.connected.Set(float64(len(s.streams)))
}

// subscribe registers the stream before it looks at the snapshot, so that no
// change falls between.
func (s *Server) subscribe(st *stream, typeURL string, add, removed []string, wildcard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.streams[st]
	if open && s.named[typeURL] == nil {
		s.named[typeURL] = map[string]map[*stream]struct{}{}
	}
	for _, name := range add {
		if open { // else the handler has ended, and nothing would take it out again
			s.name(typeURL, name, st)
		}
	}
	for _, name := range removed {
		s.unname(typeURL, name, st)
	}
	if !open {
		return
	}
	if wildcard {
		insert(s.wildcard, typeURL, st)
	} else {
		drop(s.wildcard, typeURL, st)
	}
}

// name indexes the stream by a name that it asks for; the lock is held.
func (s *Server) name(typeURL, name string, st *stream) {
	insert(s.named[typeURL], name, st)
	if group := s.opts.Group(typeURL, name); group != "" {
		if s.grouped[group] == nil {
			s.grouped[group] = map[resourceName]struct{}{}
		}
		s.grouped[group][resourceName{typeURL, name}] = struct{}{}
	}
}

// unname takes back name.
func (s *Server) unname(typeURL, name string, st *stream) {
	drop(s.named[typeURL], name, st)
	if len(s.named[typeURL][name]) > 0 {
		return
	}
	if group := s.opts.Group(typeURL, name); group != "" {
		delete(s.grouped[group], resourceName{typeURL, name})
		if len(s.grouped[group]) == 0 {
			delete(s.grouped, group)
		}
	}
}

func insert[K comparable](index map[K]map[*stream]struct{}, key K, st *stream) {
	if index[key] == nil {
		index[key] = map[*stream]struct{}{}
	}
	index[key][st] = struct{}{}
}

func drop[K comparable](index map[K]map[*stream]struct{}, key K, st *stream) {
	if set, ok := index[key]; ok {
		delete(set, st)
		if len(set) == 0 {
			delete(index, key)
		}
	}
}
