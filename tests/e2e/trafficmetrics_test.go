package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metricsv1alpha2 "github.com/servicemeshinterface/smi-sdk-go/pkg/apis/metrics/v1alpha2"

	"github.com/heddle-mesh/heddle/tests/shoptest"
)

const metricsPath = "/apis/metrics.smi-spec.io/v1alpha2"

// metrics reads a list by the types of SMI's own SDK.
func (s *shop) metrics(path string) (list metricsv1alpha2.TrafficMetricsList, err error) {
	out, err := s.Try("get", "--raw", metricsPath+path)
	if err != nil {
		return list, fmt.Errorf("%w: %s", err, out)
	}
	return list, json.Unmarshal([]byte(out), &list)
}

// requests adds up what the items count, by key; "" is left out.
func requests(list metricsv1alpha2.TrafficMetricsList, key func(*metricsv1alpha2.TrafficMetrics) string) map[string]int64 {
	out := map[string]int64{}
	for _, item := range list.Items {
		if k := key(item); k != "" {
			out[k] += item.Get("success_count").Value.Value() + item.Get("failure_count").Value.Value()
		}
	}
	return out
}

// Requests to a split are counted whoever sends them: 100 of its own namespace and
// 100 of another. Probes are sent by nobody.
func TestCaseO59_TrafficMetricsCountCallersOfOtherNamespaces(t *testing.T) {
	s := newShop(t)
	front := shopOf(t, s.Namespace+"-front")
	front.Apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {heddle.dev/inject: enabled}}\n", front.Namespace))
	t.Cleanup(func() {
		_, _ = s.Kubectl(context.Background(), "", "delete", "namespace", front.Namespace, "--wait=false")
	})
	front.Apply(shoptest.App("web", "web", "v1", "serve"))
	s.Apply("apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: cart}\nspec: {service: cart, backends: [{service: cart-v1, weight: 50}, {service: cart-v2, weight: 50}]}\n")
	front.RolledOut("web")
	s.Must("wait", "--for=condition=Programmed", "trafficsplit/cart", "--timeout="+shoptest.Patience.String())

	if c := s.Get(100, "http://cart/"); c.ByCode["200"] != 100 {
		t.Fatalf("from the namespace itself: %+v", c)
	}
	if c := front.Get(100, "http://cart."+s.Namespace+"/"); c.ByCode["200"] != 100 {
		t.Fatalf("from another: %+v", c)
	}
	split := "/namespaces/" + s.Namespace + "/trafficsplits/cart"
	backend := func(m *metricsv1alpha2.TrafficMetrics) string { return m.Backend.Name }
	caller := func(m *metricsv1alpha2.TrafficMetrics) string { return m.Edge.Resource.Namespace }
	var last string
	t.Cleanup(func() { t.Log("by backend and by the caller's namespace:", last) })
	s.Eventually("200 requests are counted, 100 by each namespace", func() bool {
		list, err := s.metrics(split + "?t=10m")
		edges, errEdges := s.metrics(split + "/edges?t=10m")
		byBackend, byCaller := requests(list, backend), requests(edges, caller)
		last = fmt.Sprint(byBackend, byCaller, err, errEdges)
		return err == nil && errEdges == nil && byBackend["cart-v1"]+byBackend["cart-v2"] == 200 && byCaller[s.Namespace] == 100 && byCaller[front.Namespace] == 100
	})
	list, err := s.metrics("/namespaces/" + s.Namespace + "/deployments?t=10m&labelSelector=nobody%3Dhas-this")
	if err != nil || len(list.Items) != 0 {
		t.Errorf("a selector that selects nothing: %d items, %v", len(list.Items), err)
	}
	if list, err = s.metrics("/namespaces/" + s.Namespace + "/deployments?t=10m"); err != nil || len(list.Items) != 3 {
		t.Errorf("deployments: %+v, %v", list.Items, err)
	}
	// Nobody calls web but the kubelet, every second.
	if count := requests(list, func(m *metricsv1alpha2.TrafficMetrics) string { return m.Name }); count["web"] != 0 || count["cart-v1"]+count["cart-v2"] != 200 {
		t.Errorf("by Deployment: %v", count)
	}
	if out, err := s.Try("get", "--raw", metricsPath+split, "--as=nobody"); err == nil || !strings.Contains(out, "orbidden") {
		t.Errorf("who may not look sees %s", out)
	}
}

// Without Prometheus TrafficMetrics are not available, and all else is.
func TestTrafficMetricsWithoutPrometheus(t *testing.T) {
	s := newShop(t)
	system := shopOf(t, "heddle-system")
	system.Must("scale", "deployment/prometheus", "--replicas=0")
	t.Cleanup(func() {
		for _, args := range [][]string{{"scale", "deployment/prometheus", "--replicas=1"}, {"rollout", "status", "deployment/prometheus", "--timeout=" + shoptest.Patience.String()}} {
			if out, err := s.Kubectl(context.Background(), "", append([]string{"-n", system.Namespace}, args...)...); err != nil {
				t.Errorf("kubectl %v: %v\n%s", args, err, out)
			}
		}
	})
	s.Eventually("it is said why", func() bool {
		out, err := s.Try("get", "--raw", metricsPath+"/namespaces/"+s.Namespace+"/pods")
		return err != nil && strings.Contains(out, "Prometheus, which does not answer")
	})
	s.Must("get", "pods,trafficsplits")
	s.Must("get", "--raw", metricsPath)
	if out := s.Must("get", "apiservices", "v1alpha2.metrics.smi-spec.io"); !strings.Contains(out, "True") {
		t.Errorf("the group is not available at all: %s", out)
	}
}
