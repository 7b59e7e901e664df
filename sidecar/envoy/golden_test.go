package envoy

import (
	"flag"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/heddle-mesh/heddle/sidecar/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden is a resource and, where the whole would say too much at once, the
// part of it that the file shows.
type golden struct {
	resource proto.Message
	part     proto.Message
}

// goldens are by the name of their file.
func goldens() map[string]golden {
	all := map[string]golden{}
	for _, topic := range []map[string]golden{
		clusterGoldens(), hostGoldens(), outboundGoldens(), inboundGoldens(), plaintextGoldens(), accessGoldens(), tlsGoldens(),
	} {
		maps.Copy(all, topic)
	}
	return all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, g := range goldens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := envoytest.Validate(g.resource); err != nil {
				t.Errorf("Envoy would refuse it: %v", err)
			}
			shown := g.part
			if shown == nil {
				shown = g.resource
			}
			envoytest.Golden(t, filepath.Join("testdata", name+".yaml"), shown, *update)
		})
	}
}

func TestNoGoldenFileIsLeftOver(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	known := goldens()
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if _, ok := known[name]; !ok {
			t.Errorf("%s is nobody's; delete it", file)
		}
	}
}
