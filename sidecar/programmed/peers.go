package programmed

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

const (
	// peerTimeout is how long another replica may take to answer.
	peerTimeout = 2 * time.Second
	// peerBatch bounds a question, so that it and its answer stay well below
	// what gRPC takes.
	peerBatch = 5000

	deliveriesService = "heddle.dev.Deliveries"
	deliveriesMethod  = "/" + deliveriesService + "/Ask"
)

// Delivery is how far a resource has come among the proxies of all replicas.
type Delivery struct {
	xds.Delivery
	// Unknown says why it is not known of some; empty if it is of all.
	Unknown string
}

// answer is what one replica says, in the order of the question. Both travel as
// JSON in a BytesValue.
type answer struct {
	Operator   string         `json:"operator"`
	Deliveries []xds.Delivery `json:"deliveries"`
}

// Answers are what RegisterDeliveries answers with.
type Answers struct {
	// Operator is this replica's name.
	Operator  string
	Delivered Delivered
	// Snapshot returns what is delivered by now, nil for nothing.
	Snapshot func() *mesh.Snapshot
	// Allow refuses who is no replica.
	Allow func(context.Context) error
}

func (a Answers) to(resources []Resource) answer {
	out, snapshot := answer{Operator: a.Operator}, a.Snapshot()
	for _, r := range resources {
		d := xds.Delivery{Subscribed: 1} // there may be proxies that are to have it
		if snapshot != nil && r.in(snapshot) {
			d = a.Delivered(r.TypeURL, r.Name, r.asked())
		}
		out.Deliveries = append(out.Deliveries, d)
	}
	return out
}

// RegisterDeliveries lets other replicas of the operator ask this one.
func RegisterDeliveries(to grpc.ServiceRegistrar, a Answers) {
	ask := func(ctx context.Context, request any) (any, error) {
		if err := a.Allow(ctx); err != nil {
			return nil, status.Error(codes.PermissionDenied, err.Error())
		}
		question, ok := request.(*wrapperspb.BytesValue)
		if !ok {
			return nil, status.Errorf(codes.Internal, "a question of type %T", request)
		}
		var resources []Resource
		if err := json.Unmarshal(question.GetValue(), &resources); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "read the question: %v", err)
		}
		raw, err := json.Marshal(a.to(resources))
		if err != nil {
			return nil, status.Errorf(codes.Internal, "write the answer: %v", err)
		}
		return wrapperspb.Bytes(raw), nil
	}
	to.RegisterService(&grpc.ServiceDesc{
		ServiceName: deliveriesService, HandlerType: (*any)(nil), Metadata: "sidecar/programmed/peers.go",
		Methods: []grpc.MethodDesc{{MethodName: "Ask", Handler: func(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			question := &wrapperspb.BytesValue{}
			if err := decode(question); err != nil {
				return nil, err
			}
			if intercept == nil {
				return ask(ctx, question)
			}
			return intercept(ctx, question, &grpc.UnaryServerInfo{Server: server, FullMethod: deliveriesMethod}, ask)
		}}},
	}, struct{}{})
}

// Peers are the other replicas of the operator. One goroutine uses it.
type Peers struct {
	// Operator is this replica's name; what it answers itself is left out.
	Operator string
	// Addresses returns host:port of the replicas that are ready.
	Addresses func() []string
	// Credentials verify that they are replicas, TokenFile holds the token that
	// shows them that this one is.
	Credentials credentials.TransportCredentials
	TokenFile   string

	conns map[string]*grpc.ClientConn
}

// Ask returns how far the resources have come among the proxies of the others.
// Unknown names a replica that did not answer.
func (p *Peers) Ask(ctx context.Context, resources []Resource) map[Resource]Delivery {
	out := make(map[Resource]Delivery, len(resources))
	addresses := p.Addresses()
	p.forget(addresses)
	for _, address := range addresses {
		for batch := range slices.Chunk(resources, peerBatch) {
			got, err := p.ask(ctx, address, batch)
			if err == nil && got.Operator == p.Operator {
				break
			}
			for i, r := range batch {
				sum := out[r]
				if err != nil {
					sum.Unknown = fmt.Sprintf("the operator at %s can't be asked for its proxies: %v", address, err)
				} else {
					sum.Delivery = add(sum.Delivery, got.Deliveries[i])
				}
				out[r] = sum
			}
		}
	}
	return out
}

func add(x, y xds.Delivery) xds.Delivery {
	x.Subscribed += y.Subscribed
	x.Acked += y.Acked
	if x.Rejection == nil {
		x.Rejection, x.Pod = y.Rejection, y.Pod
	}
	return x
}

// Close ends the connections to the others.
func (p *Peers) Close() { p.forget(nil) }

// forget closes the connections to those who have gone.
func (p *Peers) forget(addresses []string) {
	for address, conn := range p.conns {
		if !slices.Contains(addresses, address) {
			_ = conn.Close()
			delete(p.conns, address)
		}
	}
}

func (p *Peers) ask(ctx context.Context, address string, resources []Resource) (answer, error) {
	token, err := os.ReadFile(p.TokenFile)
	if err != nil {
		return answer{}, fmt.Errorf("read the operator's token: %w", err)
	}
	conn := p.conns[address]
	if conn == nil {
		if conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(p.Credentials)); err != nil {
			return answer{}, err
		}
		if p.conns == nil {
			p.conns = map[string]*grpc.ClientConn{}
		}
		p.conns[address] = conn
	}
	raw, err := json.Marshal(resources)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token))), peerTimeout)
	defer cancel()
	reply := &wrapperspb.BytesValue{}
	if err := conn.Invoke(ctx, deliveriesMethod, wrapperspb.Bytes(raw), reply); err != nil {
		return answer{}, err
	}
	var out answer
	if err := json.Unmarshal(reply.GetValue(), &out); err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(out.Deliveries) != len(resources) {
		return answer{}, fmt.Errorf("%d answers to %d questions", len(out.Deliveries), len(resources))
	}
	return out, nil
}

// Together returns what this replica and the others say.
func Together(own Delivered, others map[Resource]Delivery) func(Resource) Delivery {
	return func(r Resource) Delivery {
		sum := others[r]
		sum.Delivery = add(own(r.TypeURL, r.Name, r.asked()), sum.Delivery)
		return sum
	}
}
