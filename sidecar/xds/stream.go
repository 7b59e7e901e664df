package xds

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	identityName = "identity"
	reissueAfter = time.Second
)

// stream serves one proxy. Everything but queue and report is touched only by
// the goroutine that runs it.
type stream struct {
	server    *Server
	rpc       discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	client    Client
	queue     *queue
	connected time.Time
	// stalled is closed when a send takes too long.
	stalled chan struct{}

	csr           []byte
	version       string
	nonce         uint64
	subscriptions map[string]*subscription
	// removals wait until what was sent before them is acknowledged.
	removals map[string]map[string]struct{}
	secret   *Resource
	expires  time.Time
	renew    *time.Timer

	mu     sync.Mutex
	report ProxyStatus
}

func newStream(server *Server, rpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, client Client) *stream {
	st := &stream{
		server: server, rpc: rpc, client: client, queue: newQueue(), connected: server.opts.Now(),
		stalled:       make(chan struct{}),
		subscriptions: map[string]*subscription{},
		removals:      map[string]map[string]struct{}{},
		renew:         time.NewTimer(time.Hour),
	}
	st.renew.Stop()
	st.publishReport()
	return st
}

func (st *stream) pod() PodKey { return PodKey{Namespace: st.client.Namespace, Name: st.client.Pod} }

// run has four things to do, one at a time: take a request, look at what
// changed, renew the certificate, or end.
func (st *stream) run(ctx context.Context, requests <-chan *discoveryv3.DeltaDiscoveryRequest) error {
	defer st.renew.Stop()
	first := true
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case request := <-requests:
			if first {
				if err := st.hello(request.GetNode()); err != nil {
					return err
				}
				first = false
			}
			err = st.request(request)
		case <-st.queue.wake:
			err = st.flush()
		case <-st.renew.C:
			st.secret = nil
			st.force(typeSecret, identityName)
			err = st.flush()
		}
		if err != nil {
			return err
		}
		st.publishReport()
	}
}

// hello reads the node, which comes with the first request only.
func (st *stream) hello(node *corev3.Node) error {
	if st.server.opts.CheckNode != nil {
		if err := st.server.opts.CheckNode(st.client, node); err != nil {
			return status.Error(codes.PermissionDenied, err.Error())
		}
	}
	fields := node.GetMetadata().GetFields()["heddle"].GetStructValue().GetFields()
	st.csr = []byte(fields["csr"].GetStringValue())
	st.version = fields["initVersion"].GetStringValue()
	return nil
}

func (st *stream) request(request *discoveryv3.DeltaDiscoveryRequest) error {
	typeURL := request.GetTypeUrl()
	if _, known := shortNames[typeURL]; !known {
		return nil
	}
	sub, seen := st.subscriptions[typeURL]
	if !seen {
		sub = newSubscription()
		st.server.mu.Lock()
		st.subscriptions[typeURL] = sub
		st.server.mu.Unlock()
	}
	if request.GetResponseNonce() != "" {
		st.answered(typeURL, sub, request)
	}
	wildcardBefore := sub.wildcard
	added, removed := sub.update(request, !seen)
	if len(added)+len(removed) > 0 || wildcardBefore != sub.wildcard {
		st.server.subscribe(st, typeURL, added, removed, sub.wildcard)
	}
	for _, name := range added {
		st.queue.add(typeURL, name)
	}
	if sub.wildcard && !wildcardBefore {
		st.everything(typeURL, sub)
		// An answer is due even if there is nothing, or the proxy waits.
		if !seen && len(st.server.snapshot().Wildcard(st.client, typeURL)) == 0 {
			if err := st.send(typeURL, nil, nil); err != nil {
				return err
			}
		}
	}
	return st.flush()
}

// everything queues all names of a wildcard type: those there are and those
// the proxy still holds.
func (st *stream) everything(typeURL string, sub *subscription) {
	for _, name := range st.server.snapshot().Wildcard(st.client, typeURL) {
		st.queue.add(typeURL, name)
	}
	for name := range sub.sent {
		st.queue.add(typeURL, name)
	}
}

func (st *stream) answered(typeURL string, sub *subscription, request *discoveryv3.DeltaDiscoveryRequest) {
	for _, rejection := range sub.answer(request, st.server.opts.Now()) {
		st.server.metrics.rejected.WithLabelValues(rejection.Type).Inc()
		st.server.opts.Log.Info("a proxy refused a resource and keeps the one before",
			"namespace", st.client.Namespace, "pod", st.client.Pod, "type", rejection.Type,
			"name", rejection.Name, "origin", rejection.Origin, "message", rejection.Message)
		if typeURL == typeSecret && rejection.Name == identityName {
			// Envoy heals only from changed bytes.
			st.renew.Reset(reissueAfter)
		}
	}
}

func (st *stream) force(typeURL, name string) {
	if sub := st.subscriptions[typeURL]; sub != nil && sub.wants(name) {
		st.queue.add(typeURL, name)
	}
}


// flush sends what is queued, in order; removals come when nothing sent
// before is unanswered.
func (st *stream) flush() error {
	names, recheck, reissue := st.queue.take()
	if reissue {
		st.secret = nil
		merge(names, typeSecret, identityName)
	}
	if recheck {
		for typeURL, sub := range st.subscriptions {
			if !sub.wildcard {
				continue
			}
			for _, name := range st.server.snapshot().Wildcard(st.client, typeURL) {
				merge(names, typeURL, name)
			}
			for name := range sub.sent {
				merge(names, typeURL, name)
			}
		}
	}
	for _, typeURL := range sendOrder {
		sub := st.subscriptions[typeURL]
		if sub == nil || len(names[typeURL]) == 0 {
			continue
		}
		resources, gone := st.difference(typeURL, sub, names[typeURL])
		for _, name := range gone {
			merge(st.removals, typeURL, name)
		}
		if len(resources) > 0 {
			if err := st.send(typeURL, resources, nil); err != nil {
				return err
			}
		}
	}
	return st.sendRemovals()
}

// sendRemovals sends removals that can be sent now: at once for names that
// the proxy waits for, else when all is acknowledged. The referring types go
// first.
func (st *stream) sendRemovals() error {
	quiet := true
	for _, sub := range st.subscriptions {
		quiet = quiet && len(sub.outstanding) == 0
	}
	for _, typeURL := range slices.Backward(sendOrder) {
		sub := st.subscriptions[typeURL]
		var now []string
		for _, name := range slices.Sorted(maps.Keys(st.removals[typeURL])) {
			_, holds := sub.sent[name]
			_, waits := sub.force[name]
			switch {
			case st.resource(typeURL, name) != nil:
				// It is there again; the change that brought it is queued.
				delete(st.removals[typeURL], name)
			case quiet || (waits && !holds):
				now = append(now, name)
				delete(st.removals[typeURL], name)
				delete(sub.sent, name)
				delete(sub.acked, name)
				delete(sub.rejected, name)
				delete(sub.force, name)
			}
		}
		if len(now) > 0 {
			if err := st.send(typeURL, nil, now); err != nil {
				return err
			}
			if typeURL != typeCluster && typeURL != typeEndpoints {
				quiet = false
			}
		}
	}
	return nil
}

// difference returns what of the names must be sent and what is gone.
func (st *stream) difference(typeURL string, sub *subscription, names map[string]struct{}) (resources []*Resource, gone []string) {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		version, holds := sub.sent[name]
		_, forced := sub.force[name]
		if !sub.wants(name) {
			continue
		}
		resource := st.resource(typeURL, name)
		if resource == nil && typeURL == typeEndpoints && !holds {
			resource = emptyAssignment(name)
		}
		switch {
		case resource == nil:
			if holds || forced {
				gone = append(gone, name)
			}
		case forced || !holds || version != resource.Version:
			resources = append(resources, resource)
			delete(sub.force, name)
		}
	}
	return resources, gone
}

func (st *stream) resource(typeURL, name string) *Resource {
	if typeURL == typeSecret && name == identityName {
		return st.identity()
	}
	return st.server.snapshot().Resource(st.client, typeURL, name)
}

// identity returns the proxy's own certificate, made when there is none.
func (st *stream) identity() *Resource {
	if st.secret != nil {
		return st.secret
	}
	secret, renewAt, expires, err := st.server.opts.Issuer.Identity(st.client, st.csr)
	now := st.server.opts.Now()
	if err != nil {
		st.server.opts.Log.Error(err, "no certificate for a proxy", "namespace", st.client.Namespace, "pod", st.client.Pod)
		st.renew.Reset(reissueAfter)
		return nil
	}
	st.secret, st.expires = secret, expires
	st.renew.Reset(max(renewAt.Sub(now), reissueAfter))
	return secret
}

// emptyAssignment answers for endpoints that nobody has, so that a cluster
// does not wait for them.
func emptyAssignment(name string) *Resource {
	resource, err := NewResource(name, "", &endpointv3.ClusterLoadAssignment{ClusterName: name})
	if err != nil {
		return nil
	}
	return resource
}

func (st *stream) send(typeURL string, resources []*Resource, removed []string) error {
	st.nonce++
	nonce := strconv.FormatUint(st.nonce, 10)
	response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Nonce: nonce, RemovedResources: removed}
	sub := st.subscriptions[typeURL]
	for _, r := range resources {
		response.Resources = append(response.Resources, &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: r.Body})
		sub.sent[r.Name] = r.Version
	}
	sub.outstanding[nonce] = resources
	timer := time.AfterFunc(st.server.opts.SendTimeout, func() { close(st.stalled) })
	err := st.rpc.Send(response)
	if timer.Stop() && err == nil {
		st.server.metrics.sent.WithLabelValues(shortNames[typeURL]).Add(float64(len(resources) + len(removed)))
	}
	return err
}

func merge(names map[string]map[string]struct{}, typeURL, name string) {
	if names[typeURL] == nil {
		names[typeURL] = map[string]struct{}{}
	}
	names[typeURL][name] = struct{}{}
}
