package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Names of the static clusters. What the operator delivers may refer to
// ClusterPassthrough.
const (
	// ClusterXDS is the operator.
	ClusterXDS = "xds"
	// ClusterAdmin is Envoy's own admin interface on its socket.
	ClusterAdmin = "admin"
	// ClusterPassthrough goes to the original destination.
	ClusterPassthrough = "passthrough"
	// ClusterReady isn't static: the operator delivers it on demand, as soon
	// as the proxy has an identity.
	ClusterReady = "ready"
)

// Render returns the bootstrap for p. It is a pure function, and what it
// returns passes Envoy's own validation rules.
func Render(p Params) (*bootstrapv3.Bootstrap, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	build := &builder{}
	b := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{
			Id:       p.Namespace + "/" + p.Pod,
			Cluster:  p.Namespace + "/" + p.ServiceAccount,
			Metadata: metadata(p),
		},
		Admin: &bootstrapv3.Admin{Address: adminAddress()},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: []*listenerv3.Listener{build.statsListener(), build.healthListener(p.Settings.TCPProbePorts)},
			Clusters:  append([]*clusterv3.Cluster{build.xds(p.Settings), admin(), passthrough()}, probeClusters(p)...),
		},
		DynamicResources: dynamicResources(),
		StatsConfig:      statsConfig(p.Settings.TCPProbePorts),
		// Histograms show what came before the last flush only; who watches a release
		// asks each second.
		StatsFlushInterval:  durationpb.New(time.Second),
		DeferredStatOptions: &bootstrapv3.Bootstrap_DeferredStatOptions{EnableDeferredCreationStats: true},
		LayeredRuntime:      layeredRuntime(),
		OverloadManager:     build.overloadManager(p.Settings.MemoryLimitBytes),
	}
	if build.err != nil {
		return nil, fmt.Errorf("bootstrap: %w", build.err)
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap is not valid: %w", err)
	}
	return b, nil
}

// builder packs messages and keeps the first error, so that configurations
// read as what they make.
type builder struct{ err error }

func (b *builder) any(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("pack %T: %w", m, err)
	}
	return packed
}

// JSON encodes any of this package's messages. Equal messages give equal
// bytes, which protojson alone doesn't promise.
func JSON(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", " "); err != nil {
		return nil, fmt.Errorf("indent %T: %w", m, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func metadata(p Params) *structpb.Struct {
	text := structpb.NewStringValue
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"heddle": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			"csr":         text(p.CSR),
			"podUID":      text(p.PodUID),
			"initVersion": text(p.InitVersion),
		}}),
	}}
}

// adminAddress is a socket that only the proxy's own user can open.
func adminAddress() *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: heddlev1alpha1.AdminSocket, Mode: 0o600}}}
}

// dynamicResources subscribes to all listeners. There is no cds_config:
// clusters are fetched when something needs them. Nothing times out, so a
// proxy that has never heard from the operator doesn't go live.
func dynamicResources() *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion: corev3.ApiVersion_V3,
			// The node is 61 kB, most of it Envoy's list of extensions.
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
					ClusterName: ClusterXDS,
					RetryPolicy: &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
						BaseInterval: durationpb.New(200 * time.Millisecond),
						MaxInterval:  durationpb.New(10 * time.Second),
					}},
				}},
			}},
		},
		LdsConfig: ads(durationpb.New(0)),
	}
}

// ads is the stream to the operator. A nil timeout is Envoy's default.
func ads(firstFetch *durationpb.Duration) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   firstFetch,
	}
}
