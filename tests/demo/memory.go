package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeStats is the part of kubelet's summary that is read: how much memory
// each container's processes hold.
type nodeStats struct {
	Pods []struct {
		PodRef     struct{ Namespace, Name string } `json:"podRef"`
		Containers []struct {
			Name   string `json:"name"`
			Memory struct {
				WorkingSetBytes int64 `json:"workingSetBytes"`
				RSSBytes        int64 `json:"rssBytes"`
			} `json:"memory"`
		} `json:"containers"`
	} `json:"pods"`
}

// memory returns the resident bytes of every container of that name, smallest
// first, as the kubelets count them.
func (d *demo) memory(ctx context.Context, namespace, container string) ([]int64, error) {
	nodes, err := d.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var out []int64
	for _, n := range nodes.Items {
		raw, err := d.kube.CoreV1().RESTClient().Get().Resource("nodes").Name(n.Name).SubResource("proxy").Suffix("stats/summary").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask the kubelet of %s: %w", n.Name, err)
		}
		var s nodeStats
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("read the kubelet's answer: %w", err)
		}
		out = append(out, s.of(namespace, container)...)
	}
	slices.Sort(out)
	return out, nil
}

func (s nodeStats) of(namespace, container string) []int64 {
	var out []int64
	for _, p := range s.Pods {
		if p.PodRef.Namespace != namespace {
			continue
		}
		for _, c := range p.Containers {
			if bytes := max(c.Memory.RSSBytes, c.Memory.WorkingSetBytes); c.Name == container && bytes > 0 {
				out = append(out, bytes)
			}
		}
	}
	return out
}

func mebibytes(b int64) string { return fmt.Sprintf("%.0f MiB", float64(b)/(1<<20)) }
