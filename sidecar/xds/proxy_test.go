package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a snapshot: by type, name to content. Listeners and virtual hosts
// are everybody's without asking.
type world map[string]map[string]string

func (w world) Resource(_ Client, typeURL, name string) *Resource {
	content, ok := w[typeURL][name]
	if !ok {
		return nil
	}
	return made(typeURL, name, content)
}

func (w world) Wildcard(_ Client, typeURL string) []string {
	if typeURL != TypeListener && typeURL != TypeVirtualHost {
		return nil
	}
	return slices.Sorted(maps.Keys(w[typeURL]))
}

func (w world) InWildcard(c Client, typeURL, name string) bool {
	return slices.Contains(w.Wildcard(c, typeURL), name)
}

// with returns a world with one resource more, and what has changed.
func (w world) with(typeURL, name, content string) (world, Change) {
	next := w.clone()
	if next[typeURL] == nil {
		next[typeURL] = map[string]string{}
	}
	next[typeURL][name] = content
	return next, Change{Names: map[string][]string{typeURL: {name}}}
}

func (w world) clone() world {
	next := world{}
	for typeURL, names := range w {
		next[typeURL] = maps.Clone(names)
	}
	return next
}

// made is a resource whose bytes depend on the content.
func made(typeURL, name, content string) *Resource {
	var m proto.Message
	switch typeURL {
	case TypeCluster:
		m = &clusterv3.Cluster{Name: name, AltStatName: content}
	case TypeEndpoints:
		m = &endpointv3.ClusterLoadAssignment{ClusterName: name, Policy: &endpointv3.ClusterLoadAssignment_Policy{}}
		if content != "" {
			m.(*endpointv3.ClusterLoadAssignment).NamedEndpoints = map[string]*endpointv3.Endpoint{content: {}}
		}
	case TypeSecret:
		m = &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: content}},
		}}}
	case TypeListener:
		m = &listenerv3.Listener{Name: name, StatPrefix: content}
	case TypeRoutes:
		m = &routev3.RouteConfiguration{Name: name, InternalOnlyHeaders: []string{content}}
	case TypeVirtualHost:
		m = &routev3.VirtualHost{Name: name, Domains: []string{content}}
	}
	r, err := NewResource(name, "origin of "+name, m)
	if err != nil {
		panic(err)
	}
	return r
}

// numbered issues secrets that all differ. It fails while err is set.
type numbered struct {
	mu      sync.Mutex
	count   int
	err     error
	renewIn time.Duration
}

func (n *numbered) Identity(c Client, csr []byte) (*Resource, time.Time, time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	if n.err != nil {
		return nil, time.Time{}, time.Time{}, n.err
	}
	renewIn := n.renewIn
	if renewIn == 0 {
		renewIn = 12 * time.Hour
	}
	now := time.Now()
	return made(TypeSecret, identityName, fmt.Sprint(c.ServiceAccount, string(csr), n.count)), now.Add(renewIn), now.Add(2 * renewIn), nil
}

// fail makes it fail from now on, or no more. It returns how often it was asked.
func (n *numbered) fail(err error) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
	return n.count
}

var anyone = Client{Namespace: "shop", Pod: "web-1", PodUID: "uid-1", ServiceAccount: "web"}

// groupOf has names that can't be listed grouped by how they begin.
func groupOf(typeURL, name string) string {
	if everything(typeURL) {
		return ""
	}
	return name[:1]
}

func newTestServer(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	opts := Options{
		Issuer: &numbered{}, Log: logr.Discard(), Group: groupOf,
		Client: func(context.Context) (Client, error) { return anyone, nil },
	}
	if change != nil {
		change(&opts)
	}
	server, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// proxy is the other end of a stream, without a network between. It must be
// used in a synctest bubble.
type proxy struct {
	t       failer
	ctx     context.Context
	cancel  context.CancelFunc
	in      chan *discoveryv3.DeltaDiscoveryRequest
	out     chan *discoveryv3.DeltaDiscoveryResponse
	ended   chan error
	greeted bool
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// connect opens a stream; room is how many responses fit into it unread.
func connect(t failer, server *Server, room int) *proxy {
	p := &proxy{
		t:  t,
		in: make(chan *discoveryv3.DeltaDiscoveryRequest), out: make(chan *discoveryv3.DeltaDiscoveryResponse, room),
		ended: make(chan error, 1),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go func() {
		p.ended <- server.DeltaAggregatedResources((*serverSide)(p))
		p.cancel()
	}()
	return p
}

func (p *proxy) close() error {
	p.cancel()
	return <-p.ended
}

func (p *proxy) say(request *discoveryv3.DeltaDiscoveryRequest) {
	p.t.Helper()
	if !p.greeted {
		p.greeted = true
		heddle, _ := structpb.NewStruct(map[string]any{"heddle": map[string]any{"csr": "CSR-OF-THE-POD", "initVersion": "v1"}})
		request.Node = &corev3.Node{Id: "shop/web-1", Metadata: heddle}
	}
	select {
	case p.in <- request:
	case <-p.ctx.Done():
	}
	synctest.Wait()
}

func (p *proxy) subscribe(typeURL string, names ...string) {
	p.t.Helper()
	p.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (p *proxy) unsubscribe(typeURL string, names ...string) {
	p.t.Helper()
	p.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: names})
}

func (p *proxy) ack(r *discoveryv3.DeltaDiscoveryResponse) {
	p.t.Helper()
	p.say(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
}

func (p *proxy) nack(r *discoveryv3.DeltaDiscoveryResponse, message string) {
	p.t.Helper()
	p.say(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: &statuspb.Status{Code: 13, Message: message},
	})
}

// hear returns what the server has sent and was not read yet.
func (p *proxy) hear() []*discoveryv3.DeltaDiscoveryResponse {
	synctest.Wait()
	var all []*discoveryv3.DeltaDiscoveryResponse
	for {
		select {
		case r := <-p.out:
			all = append(all, r)
		default:
			return all
		}
	}
}

// settle acknowledges all there is until there is no more, and returns it.
func (p *proxy) settle() []string {
	p.t.Helper()
	var lines []string
	for {
		all := p.hear()
		if len(all) == 0 {
			return lines
		}
		lines = append(lines, told(all)...)
		for _, r := range all {
			p.ack(r)
		}
	}
}

// told writes responses as "CDS +a +b -c".
func told(all []*discoveryv3.DeltaDiscoveryResponse) []string {
	var lines []string
	for _, r := range all {
		line := shortNames[r.GetTypeUrl()]
		var names []string
		for _, resource := range r.GetResources() {
			names = append(names, " +"+resource.GetName())
		}
		slices.Sort(names)
		line += strings.Join(names, "")
		for _, name := range r.GetRemovedResources() {
			line += " -" + name
		}
		lines = append(lines, line)
	}
	return lines
}

// serverSide is a proxy as the server sees it.
type serverSide proxy

func (s *serverSide) Send(*discoveryv3.DeltaDiscoveryResponse) error {
	return errors.New("responses go by SendMsg")
}

// SendMsg passes on what goes over the wire.
func (s *serverSide) SendMsg(sent any) error {
	raw, err := codec{}.Marshal(sent)
	if err != nil {
		return err
	}
	r := &discoveryv3.DeltaDiscoveryResponse{}
	if err := (codec{}).Unmarshal(raw, r); err != nil {
		return err
	}
	select {
	case s.out <- r:
		return nil
	case <-s.ctx.Done():
		return errors.New("the stream has ended")
	}
}

func (s *serverSide) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	select {
	case r := <-s.in:
		return r, nil
	case <-s.ctx.Done():
		return nil, io.EOF
	}
}

func (s *serverSide) Context() context.Context     { return s.ctx }
func (s *serverSide) SetHeader(metadata.MD) error  { return nil }
func (s *serverSide) SendHeader(metadata.MD) error { return nil }
func (s *serverSide) SetTrailer(metadata.MD)       {}
func (s *serverSide) RecvMsg(any) error            { return nil }
