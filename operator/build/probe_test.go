package build

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

func httpGet(path string, port int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port)}}}
}

func get(port uint16, path string) mesh.Probe {
	return mesh.Probe{Port: port, Path: path, Method: http.MethodGet}
}

func overTLS(port uint16, path string) mesh.Probe {
	return mesh.Probe{Port: port, Path: path, Method: http.MethodGet, TLS: true}
}

func scraped(port, path string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": path}
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	app := func(change func(*corev1.Container)) *corev1.Pod {
		return pod("web-1", "web", "", func(p *corev1.Pod) { change(&p.Spec.Containers[0]) })
	}
	grpc := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9090, Service: ptr("ready")}}}
	asked := func(change func(*corev1.HTTPGetAction)) *corev1.Pod {
		return app(func(c *corev1.Container) {
			c.LivenessProbe = httpGet("/live", 8080)
			change(c.LivenessProbe.HTTPGet)
		})
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want []mesh.Probe
	}{
		"none": {pod: pod("web-1", "web", "")},
		"all three, ordered by port and path": {
			pod: app(func(c *corev1.Container) {
				c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = httpGet("/b", 8081), httpGet("/z", 8080), httpGet("/a", 8081)
			}),
			want: []mesh.Probe{get(8080, "/z"), get(8081, "/a"), get(8081, "/b")},
		},
		"the same one twice is one": {
			pod: app(func(c *corev1.Container) {
				c.LivenessProbe, c.ReadinessProbe = httpGet("/a", 8080), httpGet("/a", 8080)
			}),
			want: []mesh.Probe{get(8080, "/a")},
		},
		"gRPC": {
			pod:  app(func(c *corev1.Container) { c.LivenessProbe = grpc }),
			want: []mesh.Probe{{Port: 9090, Path: "/grpc.health.v1.Health/Check", Method: http.MethodPost}},
		},
		"hooks are asked by the kubelet, too": {
			pod: app(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{
					PostStart: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/started", Port: intstr.FromInt32(8080)}},
					PreStop:   &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/stop", Port: intstr.FromInt32(8080)}},
				}
			}),
			want: []mesh.Probe{get(8080, "/started"), get(8080, "/stop")},
		},
		"hooks and probes without HTTP": {
			pod: app(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{}}}
				c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{}}}
				c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
			}),
		},
		"a sidecar of the app's own has probes": {
			pod: pod("web-1", "web", "", func(p *corev1.Pod) {
				p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "log", StartupProbe: httpGet("/up", 9000)})
			}),
			want: []mesh.Probe{get(9000, "/up")},
		},
		"the mesh's own containers are none of the app's": {
			pod: pod("web-1", "web", "", func(p *corev1.Pod) {
				p.Spec.InitContainers[0].StartupProbe = httpGet("/a", 8080)
				p.Spec.InitContainers[1].StartupProbe = httpGet("/b", 8080)
			}),
		},
		"the sidecar's health listener answers by itself": {
			pod: asked(func(h *corev1.HTTPGetAction) { h.Port = intstr.FromInt32(heddlev1alpha1.PortHealth) }),
		},
		"over TLS": {pod: asked(func(h *corev1.HTTPGetAction) { h.Scheme = corev1.URISchemeHTTPS }), want: []mesh.Probe{overTLS(8080, "/live")}},
		"over TLS and without it are two, in this order": {
			pod: app(func(c *corev1.Container) {
				c.LivenessProbe, c.ReadinessProbe = httpGet("/a", 8080), httpGet("/a", 8080)
				c.LivenessProbe.HTTPGet.Scheme = corev1.URISchemeHTTPS
			}),
			want: []mesh.Probe{get(8080, "/a"), overTLS(8080, "/a")},
		},
		"over TLS of another host is not this pod": {pod: asked(func(h *corev1.HTTPGetAction) { h.Scheme, h.Host = corev1.URISchemeHTTPS, "example.com" })},
		"HTTP said":                       {pod: asked(func(h *corev1.HTTPGetAction) { h.Scheme = corev1.URISchemeHTTP }), want: []mesh.Probe{get(8080, "/live")}},
		"another host is not this pod":    {pod: asked(func(h *corev1.HTTPGetAction) { h.Host = "example.com" })},
		"no path is the root":             {pod: asked(func(h *corev1.HTTPGetAction) { h.Path = "" }), want: []mesh.Probe{get(8080, "/")}},
		"a path without its slash":        {pod: asked(func(h *corev1.HTTPGetAction) { h.Path = "live" }), want: []mesh.Probe{get(8080, "/live")}},
		"a named port":                    {pod: named("admin"), want: []mesh.Probe{get(9000, "/live")}},
		"a number in quotes":              {pod: named("9001"), want: []mesh.Probe{get(9001, "/live")}},
		"a name that no port has":         {pod: named("nowhere")},
		"a name whose port is no number":  {pod: named("zero")},
		"a number in quotes out of range": {pod: named("65536")},
		"a port out of range":             {pod: asked(func(h *corev1.HTTPGetAction) { h.Port = intstr.FromInt32(65536) })},
		"a port below the first":          {pod: asked(func(h *corev1.HTTPGetAction) { h.Port = intstr.FromInt32(-1) })},
		"port 0":                          {pod: asked(func(h *corev1.HTTPGetAction) { h.Port = intstr.FromInt32(0) })},
		"a port of another container is not this one's": {pod: pod("web-1", "web", "", func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe = namedGet("admin")
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "b", Ports: []corev1.ContainerPort{{Name: "admin", ContainerPort: 9000}}})
		})},
		"a scrape":                       {pod: pod("web-1", "web", "", scraped("9090", "/m")), want: []mesh.Probe{get(9090, "/m")}},
		"a scrape without a path":        {pod: pod("web-1", "web", "", scraped("9090", "")), want: []mesh.Probe{get(9090, "/metrics")}},
		"a scrape without a port":        {pod: pod("web-1", "web", "", scraped("", "/m"))},
		"a scrape of port 0":             {pod: pod("web-1", "web", "", scraped("0", "/m"))},
		"a scrape of port 65536":         {pod: pod("web-1", "web", "", scraped("65536", "/m"))},
		"a scrape of a name":             {pod: pod("web-1", "web", "", scraped("http", "/m"))},
		"a scrape that is not asked for": {pod: pod("web-1", "web", "", scraped("9090", "/m"), annotated("prometheus.io/scrape", "false"))},
		"a scrape over TLS":              {pod: pod("web-1", "web", "", scraped("9090", "/m"), annotated("prometheus.io/scheme", "https")), want: []mesh.Probe{overTLS(9090, "/m")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snapshot, _ := Build(Objects{Pods: []*corev1.Pod{tc.pod}})
			for _, workload := range snapshot.Workloads.All() {
				if diff := cmp.Diff(tc.want, workload.Probes); diff != "" {
					t.Errorf("probes (-want +got):\n%s", diff)
				}
			}
			if snapshot.Workloads.Len() != 1 {
				t.Errorf("%d workloads", snapshot.Workloads.Len())
			}
		})
	}
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

func namedGet(port string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/live", Port: intstr.FromString(port)}}}
}

func named(port string) *corev1.Pod {
	return pod("web-1", "web", "", func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = namedGet(port)
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "admin", ContainerPort: 9000}, {Name: "zero"}}
	})
}

// What the kubelet does to a path is in its formatURL and in net/http.
func TestRequestPath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want string
		ok   bool
	}{
		"/healthz":              {"/healthz", true},
		"healthz":               {"/healthz", true},
		"":                      {"/", true},
		"/":                     {"/", true},
		"/a?full=1&x":           {"/a?full=1&x", true},
		"?full":                 {"/?full", true},
		"/a#part":               {"/a", true},
		"/a b":                  {"/a%20b", true},
		"/a%20b":                {"/a%20b", true},
		"/a%zz":                 {"/a%25zz", true},
		"/ü":                    {"/%C3%BC", true},
		"/a\nb":                 {"/a%0Ab", true},
		"//host/a":              {"/a", true},
		"http://other:1/a?b":    {"/a?b", true},
		"https://u:p@other/a":   {"/a", true},
		"/a//b/../c":            {"/a//b/../c", true},
		"mailto:someone@some":   {"", false},
		"a:b":                   {"", false},
		"/a:b":                  {"/a:b", true},
		"/%2e%2e/x":             {"/%2e%2e/x", true},
		"/a;b=c/d":              {"/a;b=c/d", true},
		"/very/[odd]/{path}":    {"/very/%5Bodd%5D/%7Bpath%7D", true},
		"/a?b=c d":              {"/a?b=c d", true},
		"/with\x00nul":          {"/with%00nul", true},
		"http:///only/the/path": {"/only/the/path", true},
	}
	for path, want := range tests {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			got, ok := requestPath(path)
			if got != want.want || ok != want.ok {
				t.Errorf("requestPath(%q) = %q, %t, want %q, %t", path, got, ok, want.want, want.ok)
			}
			if !ok {
				return
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://pod"+got, nil)
			if err != nil {
				t.Fatalf("can't be sent: %v", err)
			}
			if sent := request.URL.RequestURI(); sent != got {
				t.Errorf("%q is sent as %q", got, sent)
			}
		})
	}
}
