package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	fakedynamic "k8s.io/client-go/dynamic/fake"
)

// liveShop is a cluster in which two things are wrong, in namespaces shop and
// other, and a Service has nothing behind it.
func liveShop() *fakedynamic.FakeDynamicClient {
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range analyzedKinds {
		lists[k.version.GroupVersion().WithResource(k.resource)] = k.version.Kind + "List"
	}
	service := func(name string) *unstructured.Unstructured {
		return smi("v1", "Service", name, map[string]any{
			"clusterIPs": []any{"10.96.0.1"}, "ports": []any{map[string]any{"name": "http", "port": int64(80)}},
		})
	}
	elsewhere := smi("access.smi-spec.io/v1alpha3", "TrafficTarget", "open", map[string]any{
		"destination": map[string]any{"kind": "ServiceAccount", "name": "a"}, "sources": []any{}, "rules": []any{},
	})
	elsewhere.SetNamespace("other")
	return fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists,
		service("cart"), service("cart-v1"), elsewhere,
		smi("split.smi-spec.io/v1alpha4", "TrafficSplit", "cart", map[string]any{"service": "cart", "backends": []any{
			map[string]any{"service": "cart-v1", "weight": int64(1)}, map[string]any{"service": "cart-v2", "weight": int64(1)},
		}}),
		smi("specs.smi-spec.io/v1alpha4", "TCPRoute", "later", map[string]any{"matches": map[string]any{"ports": []any{int64(80)}}}),
	)
}

// analyzedWith runs `heddle analyze`; without a client there is no cluster.
func analyzedWith(t *testing.T, objects *fakedynamic.FakeDynamicClient, in string, args ...string) (string, error) {
	t.Helper()
	streams, stdin, out, _ := genericiooptions.NewTestIOStreams()
	stdin.WriteString(in)
	cmd := newRoot("heddle", streams, func(*genericclioptions.ConfigFlags) (*cluster, error) {
		if objects == nil {
			return nil, errors.New("there is no cluster")
		}
		return &cluster{objects: objects, namespace: "shop"}, nil
	})
	cmd.SetArgs(append([]string{"analyze"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestAnalyzeGolden(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		objects *fakedynamic.FakeDynamicClient
		args    []string
	}{
		"analyze-files.txt":   {nil, []string{"-f", "testdata/analyze", "-n", "shop"}},
		"analyze-below.txt":   {nil, []string{"-f", "testdata/analyze", "-R", "-o", "yaml"}},
		"analyze-live.txt":    {liveShop(), []string{"-f", "testdata/analyze/shop.yaml", "--live"}},
		"analyze-cluster.txt": {liveShop(), nil},
		"analyze-all.txt":     {liveShop(), []string{"-A"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := analyzedWith(t, tc.objects, "", tc.args...)
			if !errors.Is(err, errFound) {
				t.Errorf("error %v, want that something is wrong", err)
			}
			golden(t, name, got)
		})
	}
}

// What is fine, or may be a mistake and no more, is no failure.
func TestAnalyzeOfWhatWorks(t *testing.T) {
	t.Parallel()
	const split = "apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {name: a}\nspec: {service: web, backends: [{service: web, weight: 1}]}\n"
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n# nothing\n---\n"
	for in, want := range map[string]string{
		"":              "0 objects: 0 errors, 0 warnings\n",
		split + service: "1 object: 0 errors, 0 warnings\n",
		split: "TrafficSplit default/a  (standard input)\n  ‼  spec.service   there is no Service default/web with a TCP port\n" +
			"                  → create it or name another\n\n1 object: 0 errors, 1 warning\n",
	} {
		if got, err := analyzedWith(t, nil, in, "-f", "-"); err != nil || got != want {
			t.Errorf("%v, said\n%s\nwant\n%s", err, got, want)
		}
	}
}

// A Canary is nothing without the Deployment that it releases.
func TestAnalyzeLooksForACanarysTarget(t *testing.T) {
	t.Parallel()
	const canary = "apiVersion: heddle.dev/v1alpha1\nkind: Canary\nmetadata: {name: web}\nspec: {targetRef: {kind: Deployment, name: web}, service: {port: 80}}\n"
	const deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
	const missing = "spec.targetRef.name   there is no Deployment shop/web"
	if got, err := analyzedWith(t, nil, canary+deployment, "-f", "-", "-n", "shop"); err != nil || strings.Contains(got, "targetRef") {
		t.Errorf("%v, said\n%s", err, got)
	}
	if got, err := analyzedWith(t, nil, canary, "-f", "-", "-n", "shop"); err != nil || !strings.Contains(got, "‼  "+missing) {
		t.Errorf("of manifests alone: %v, said\n%s", err, got)
	}
	if got, err := analyzedWith(t, liveShop(), canary, "-f", "-", "--live"); !errors.Is(err, errFound) || !strings.Contains(got, "×  "+missing) {
		t.Errorf("with a cluster: %v, said\n%s", err, got)
	}
}

func TestAnalyzeForPrograms(t *testing.T) {
	t.Parallel()
	out, err := analyzedWith(t, nil, "", "-f", "testdata/analyze/below/mesh.json", "-o", "json")
	var got analysis
	if jsonErr := json.Unmarshal([]byte(out), &got); jsonErr != nil || !errors.Is(err, errFound) {
		t.Fatal(jsonErr, err)
	}
	if got.OK || got.Analyzed != 1 || got.Errors != 1 || len(got.Objects) != 1 || got.Objects[0].Findings[0].Field != "metadata.name" {
		t.Errorf("got %+v", got)
	}
}

func TestAnalyzeSaysWhatItCanNotDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		args []string
		want string
	}{
		"no cluster":             {"", nil, "there is no cluster"},
		"a file that is not":     {"", []string{"-f", "testdata/nowhere"}, "no such file"},
		"no YAML":                {"a: b\n---\na: [", []string{"-f", "-"}, "standard input: document 2: "},
		"a key twice":            {"a: b\na: c", []string{"-f", "-"}, `key "a" already set in map`},
		"below nothing":          {"", []string{"-R"}, "name some with -f"},
		"everywhere in files":    {"", []string{"-A", "-f", "-"}, "use --live"},
		"a format that is none":  {"", []string{"-o", "xml"}, "unknown output format"},
		"an argument":            {"", []string{"shop.yaml"}, "unknown command"},
		"live without a cluster": {"", []string{"-f", "-", "--live"}, "there is no cluster"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := analyzedWith(t, nil, tc.in, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

// Whatever is read is judged, and everything that is said is about a field.
func FuzzAnalyze(f *testing.F) {
	for _, text := range []string{
		"kind: List\nitems: [1, {kind: XList, items: []}, {apiVersion: v1, kind: Service, metadata: 1}]",
		"apiVersion: split.smi-spec.io/v1alpha1\nkind: TrafficSplit\nmetadata: {annotations: {a: 1}}\nspec: {backends: [{weight: 1k}]}",
		"apiVersion: access.smi-spec.io/v1alpha1\nkind: TrafficTarget\nmetadata: {name: a}\ndestination: {kind: a, port: 80}\nspecs: {}",
		"apiVersion: heddle.dev/v1\nkind: MeshConfig\nspec: []",
		"apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: a}\nspec: {matches: [{name: a, headers: [[]]}]}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := decodeManifests("x", strings.NewReader(text))
		if err != nil {
			return
		}
		a := newAnalyzed()
		for _, m := range found {
			a.addManifest(m, "default")
		}
		report := a.judge(true)
		for _, o := range report.Objects {
			for _, f := range o.Findings {
				if f.Field == "" || f.Message == "" {
					t.Errorf("%s: %+v", o.title(), f)
				}
			}
		}
		if err := report.write(&strings.Builder{}, coloured); err != nil {
			t.Error(err)
		}
	})
}
