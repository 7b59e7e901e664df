package envoytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func filter(config *anypb.Any) *listenerv3.Filter {
	return &listenerv3.Filter{Name: "f", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config}}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := &tcpproxyv3.TcpProxy{StatPrefix: "p", ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: "c"}}
	bad := &tcpproxyv3.TcpProxy{ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: "c"}}
	tests := map[string]struct {
		message proto.Message
		want    string
	}{
		"a message that keeps the rules":      {message: filter(packed(t, good))},
		"a rule of its own broken":            {message: &corev3.Address{}, want: "Address"},
		"a rule broken in what is packed":     {message: filter(packed(t, bad)), want: "StatPrefix"},
		"a rule broken in what is all packed": {message: packed(t, filter(packed(t, bad))), want: "StatPrefix"},
		"something that has no rules":         {message: packed(t, &structpb.Struct{}), want: "states no rules"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Validate(test.message)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// complaints is a test that is told of failures and goes on.
type complaints struct {
	testing.TB
	count int
}

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { c.count++ }

func TestGolden(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "filter.yaml")
	Golden(t, file, filter(packed(t, &tcpproxyv3.TcpProxy{StatPrefix: "p"})), true)
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `name: f
typed_config:
  '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
  stat_prefix: p
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	c := &complaints{TB: t}
	Golden(c, file, filter(packed(t, &tcpproxyv3.TcpProxy{StatPrefix: "p"})), false)
	if c.count != 0 {
		t.Error("the same is said to differ")
	}
	Golden(c, file, filter(packed(t, &tcpproxyv3.TcpProxy{StatPrefix: "q"})), false)
	if c.count != 1 {
		t.Error("something else is not said to differ")
	}
}
