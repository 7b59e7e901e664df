package xds

import (
	"testing"
	"testing/synctest"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// FuzzRequests lets a proxy say anything: the server must neither fail nor
// keep anything of it after the stream.
func FuzzRequests(f *testing.F) {
	f.Add(sequence(
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeListener, ResponseNonce: "1"},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeCluster, ResourceNamesSubscribe: []string{"c", "*", "none"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeCluster, ResourceNamesUnsubscribe: []string{"*", "c", "x"}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeEndpoints, ResourceNamesSubscribe: []string{"e"}, InitialResourceVersions: map[string]string{"e": "1", "f": ""}},
		&discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeSecret, ResourceNamesSubscribe: []string{identityName}},
	))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			server := newTestServer(t, func(o *Options) { o.MaxNames = 100 })
			w := world{TypeCluster: {"c": "1"}, TypeEndpoints: {"e": "1"}, TypeListener: {"l": "1"}}
			server.Publish(w, Change{})
			p := connect(t, server, 10000)
			p.greeted = true
			for len(data) > 0 {
				message, n := protowire.ConsumeBytes(data)
				if n < 0 {
					break
				}
				data = data[n:]
				request := &discoveryv3.DeltaDiscoveryRequest{}
				if proto.Unmarshal(message, request) != nil {
					break
				}
				p.say(request)
				server.Publish(w, Change{Names: map[string][]string{TypeCluster: {"c"}, TypeListener: {"l"}}})
			}
			server.Publish(world{}, Change{Names: map[string][]string{TypeCluster: {"c"}, TypeListener: {"l"}}})
			_ = p.close()
			synctest.Wait()
			if left := remains(server); left != 0 {
				t.Errorf("%d entries are left", left)
			}
		})
	})
}

func sequence(requests ...*discoveryv3.DeltaDiscoveryRequest) (data []byte) {
	for _, r := range requests {
		message, err := proto.Marshal(r)
		if err != nil {
			panic(err)
		}
		data = protowire.AppendBytes(data, message)
	}
	return data
}
