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
	"google.golang.org/protobuf/types/known/anypb"
)

// maxOutstanding is how many responses of one type a proxy may leave
// unanswered before what changes meanwhile is gathered.
const maxOutstanding = 16

// stream serves one proxy. Everything but queue and what mu guards is touched
// only by the goroutine that runs it.
type stream struct {
	server    *Server
	rpc       discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	client    Client
	queue     *queue
	connected time.Time
	// stalled is closed, by stall, when a send takes too long.
	stalled chan struct{}
	stall   func()

	csr           []byte
	version       string
	nonce         uint64
	subscriptions map[string]*subscription
	// snapshot is the one that the present flush sends from.
	snapshot Snapshot
	// removals wait until what was sent before them is acknowledged.
	removals map[string]map[string]struct{}
	renew    *time.Timer

	// secret is the proxy's own certificate; a stale one is still the one in
	// force until another is made. failures and notBefore slow down
	// repetition.
	secret    *Resource
	stale     bool
	expires   time.Time
	failures  int
	notBefore time.Time

	// mu guards report, and sent, acked and rejected of the subscriptions
	// against readers from outside.
	mu     sync.Mutex
	report ProxyStatus
}

func newStream(server *Server, rpc discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer, client Client) *stream {
	stalled := make(chan struct{})
	st := &stream{
		server: server, rpc: rpc, client: client, queue: newQueue(), connected: server.opts.Now(),
		stalled:       stalled,
		stall:         sync.OnceFunc(func() { close(stalled) }),
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
			st.stale, st.notBefore = true, time.Time{}
			st.queue.keep(TypeSecret, 1, slices.Values([]string{identityName}))
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
	st.mu.Lock()
	added, removed := sub.update(request, !seen)
	st.mu.Unlock()
	if len(added)+len(removed) > 0 || wildcardBefore != sub.wildcard {
		st.server.subscribe(st, typeURL, added, removed, sub.wildcard)
	}
	if st.remembered() > st.server.opts.MaxNames {
		return status.Error(codes.ResourceExhausted, "the proxy asks for too many names")
	}
	for _, names := range [][]string{added, removed} {
		st.queue.keep(typeURL, len(names), slices.Values(names))
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

func (st *stream) remembered() int {
	total := 0
	for _, sub := range st.subscriptions {
		total += len(sub.entries)
	}
	return total
}

// everything queues all names of a wildcard type: those there are and those
// the proxy still holds.
func (st *stream) everything(typeURL string, sub *subscription) {
	all := st.server.snapshot().Wildcard(st.client, typeURL)
	st.mu.Lock()
	sub.room(len(all))
	st.mu.Unlock()
	st.queue.keep(typeURL, len(all), slices.Values(all))
	st.queue.keep(typeURL, len(sub.entries), maps.Keys(sub.entries))
}

func (st *stream) answered(typeURL string, sub *subscription, request *discoveryv3.DeltaDiscoveryRequest) {
	answers := slices.ContainsFunc(sub.outstanding[request.GetResponseNonce()], func(r *Resource) bool {
		return typeURL == TypeSecret && r.Name == identityName
	})
	st.mu.Lock()
	rejections := sub.answer(request, st.server.opts.Now())
	st.mu.Unlock()
	refusedIdentity := false
	for _, rejection := range rejections {
		st.server.rejected(st, typeURL, rejection)
		refusedIdentity = refusedIdentity || typeURL == TypeSecret && rejection.Name == identityName
	}
	if answers {
		st.identityAnswered(refusedIdentity)
	}
	st.server.heard()
}

// flush sends what is queued, in order; removals come when nothing sent
// before is unanswered.
func (st *stream) flush() error {
	var todo work
	todo, st.snapshot = st.server.take(st)
	if todo.reissue {
		st.stale, st.notBefore = true, time.Time{}
		merge(todo.names, TypeSecret, identityName)
	}
	if todo.recheck {
		st.recheck(todo.names)
	}
	for i, typeURL := range sendOrder {
		sub := st.subscriptions[typeURL]
		if sub == nil || len(todo.names[typeURL]) == 0 {
			continue
		}
		if len(sub.outstanding) >= maxOutstanding {
			// What may refer to it waits with it.
			for _, waiting := range sendOrder[i:] {
				st.queue.keep(waiting, len(todo.names[waiting]), maps.Keys(todo.names[waiting]))
			}
			break
		}
		resources, gone := st.difference(typeURL, sub, todo.names[typeURL])
		for _, name := range gone {
			merge(st.removals, typeURL, name)
		}
		if len(resources) > 0 {
			if err := st.send(typeURL, resources, nil); err != nil {
				return err
			}
			if typeURL == TypeCluster {
				st.repeatAssignments(resources, todo.names)
			}
			if !todo.since.IsZero() {
				st.server.metrics.latency.Observe(st.server.opts.Now().Sub(todo.since).Seconds())
			}
		}
	}
	return st.sendRemovals()
}

// recheck adds all that the stream gets without asking, and all it holds of
// what it should not.
func (st *stream) recheck(names map[string]map[string]struct{}) {
	for typeURL, sub := range st.subscriptions {
		if sub.wildcard {
			for _, name := range st.snapshot.Wildcard(st.client, typeURL) {
				merge(names, typeURL, name)
			}
		}
		// What may be seen depends on the pod as well.
		for name := range sub.entries {
			merge(names, typeURL, name)
		}
	}
}

// repeatAssignments has the assignments sent again that the clusters just sent
// take and the proxy holds already: it does not ask a second time for a name,
// and the clusters would wait for them in vain.
func (st *stream) repeatAssignments(clusters []*Resource, names map[string]map[string]struct{}) {
	sub := st.subscriptions[TypeEndpoints]
	if sub == nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, c := range clusters {
		if c.assignment != "" && sub.entries[c.assignment].named {
			merge(names, TypeEndpoints, c.assignment)
			sub.insist(c.assignment)
		}
	}
}

// difference returns what of the names must be sent and what is gone, in no order.
func (st *stream) difference(typeURL string, sub *subscription, names map[string]struct{}) (resources []*Resource, gone []string) {
	for name := range names {
		known := sub.entries[name]
		version, holds, forced := known.sent, known.holds, known.force
		if !known.named && !sub.wildcard {
			continue
		}
		var resource *Resource
		if known.named || st.snapshot.InWildcard(st.client, typeURL, name) {
			resource = st.resource(typeURL, name)
		}
		if resource == nil && typeURL == TypeEndpoints {
			if empty := emptyAssignment(name); forced || !holds || version == empty.Version {
				resource = empty
			}
		}
		switch {
		case resource == nil:
			if holds || forced {
				gone = append(gone, name)
			}
		case holds && !forced && version == resource.Version:
		case version != resource.Version && st.quarantined(typeURL, sub, resource):
			if forced && !holds {
				gone = append(gone, name) // the proxy waits for an answer
			}
		default:
			resources = append(resources, resource)
			delete(st.removals[typeURL], name)
		}
	}
	return resources, gone
}

// covers is true if the name is among those the stream is to have: asked for by
// name, or one of everything.
func (st *stream) covers(typeURL string, sub *subscription, name string) bool {
	return sub.entries[name].named || sub.wildcard && st.snapshot.InWildcard(st.client, typeURL, name)
}

// quarantined is true if this proxy has refused this very content before.
// Secrets are left out: what was wrong may have been a file in the pod.
func (st *stream) quarantined(typeURL string, sub *subscription, r *Resource) bool {
	if typeURL == TypeSecret {
		return false
	}
	rejection, found := st.server.quarantine.find(st.refusal(typeURL, r.Name, r.Version), st.server.opts.Now())
	if found {
		st.mu.Lock()
		sub.rejected[r.Name] = rejection
		st.mu.Unlock()
	}
	return found
}

func (st *stream) refusal(typeURL, name, version string) refusal {
	return refusal{podUID: st.client.PodUID, typeURL: typeURL, name: name, version: version}
}

func (st *stream) resource(typeURL, name string) *Resource {
	if typeURL == TypeSecret && name == identityName {
		return st.identity()
	}
	return st.snapshot.Resource(st.client, typeURL, name)
}

// emptyAssignment answers for endpoints that nobody has, so that a cluster
// does not wait for them.
func emptyAssignment(name string) *Resource {
	resource, err := NewResource(name, "", &endpointv3.ClusterLoadAssignment{ClusterName: name})
	if err != nil {
		// Only a name that is not UTF-8, which no request can carry.
		resource = &Resource{Name: name, Body: &anypb.Any{TypeUrl: TypeEndpoints}}
		resource.encode()
	}
	return resource
}

// maxResponse is about how many bytes of resources one response has. More go out in
// several, so that what is under way to a thousand proxies at once does not take the
// memory of all they hold.
const maxResponse = 128 << 10

// send sends the resources, or what is removed, in as many responses as it takes; of
// neither it sends an empty one.
func (st *stream) send(typeURL string, resources []*Resource, removed []string) error {
	for {
		size, n := 0, 0
		for n < len(resources) && (n == 0 || size+len(resources[n].entry) <= maxResponse) {
			size += len(resources[n].entry)
			n++
		}
		if err := st.respond(typeURL, resources[:n:n], removed); err != nil || n == len(resources) {
			return err
		}
		resources = resources[n:]
	}
}

// respond sends one response.
func (st *stream) respond(typeURL string, resources []*Resource, removed []string) error {
	st.nonce++
	nonce := strconv.FormatUint(st.nonce, 10)
	sub := st.subscriptions[typeURL]
	st.mu.Lock()
	for _, r := range resources {
		sub.send(r.Name, r.Version)
	}
	st.mu.Unlock()
	sub.outstanding[nonce] = resources
	timer := time.AfterFunc(st.server.opts.SendTimeout, st.stall)
	err := st.rpc.SendMsg(&response{
		head:      &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL, Nonce: nonce, RemovedResources: removed},
		resources: resources,
	})
	timer.Stop()
	if err == nil {
		st.server.metrics.pushes.WithLabelValues(shortNames[typeURL]).Inc()
		st.server.metrics.sent.WithLabelValues(shortNames[typeURL]).Add(float64(len(resources) + len(removed)))
	}
	return err
}
