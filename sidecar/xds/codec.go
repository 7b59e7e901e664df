package xds

import (
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec for all else
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// ServerOption is needed by the gRPC server that a Server is registered with: it
// lets responses be written from what was encoded before, without a copy for each
// proxy. Other services of that server are as they would be without.
func ServerOption() grpc.ServerOption { return grpc.ForceServerCodecV2(codec{}) }

// response is a DeltaDiscoveryResponse: a message without resources, and resources.
type response struct {
	head      *discoveryv3.DeltaDiscoveryResponse
	resources []*Resource
}

// codec writes responses; all else is protocol buffers as usual.
type codec struct{}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2. Fields of a message may stand in any order, so
// the resources follow the head as they are.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*response)
	if !ok {
		return encoding.GetCodecV2("proto").Marshal(v) //nolint:wrapcheck // as without this codec
	}
	head, err := proto.Marshal(r.head)
	if err != nil {
		return nil, fmt.Errorf("marshal a response: %w", err)
	}
	out := make(mem.BufferSlice, 1, 1+len(r.resources))
	out[0] = mem.SliceBuffer(head)
	for _, resource := range r.resources {
		out = append(out, mem.SliceBuffer(resource.entry))
	}
	return out, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	return encoding.GetCodecV2("proto").Unmarshal(data, v) //nolint:wrapcheck // as without this codec
}
