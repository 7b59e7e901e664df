package metricsapi

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/heddle-mesh/heddle/operator/mesh"
)

// Flow is what one pod has answered to one caller within the window.
type Flow struct {
	FlowKey

	Requests, Failures float64
	// Buckets are the requests that took no longer than so many milliseconds,
	// +Inf among them.
	Buckets map[float64]float64
}

// FlowKey is between whom.
type FlowKey struct {
	// Pod is who answered, Kind and Name are of the workload that it is part of.
	Pod        mesh.PodKey
	Kind, Name string
	// Source is the caller's identity; the zero value is one without.
	Source mesh.Identity
}

// gather makes flows of three answers: requests and failures by pod and caller,
// and requests by bucket, too. They are ordered.
func gather(requests, failures, buckets model.Vector) []*Flow {
	found := map[FlowKey]*Flow{}
	at := func(m model.Metric) *Flow {
		key := FlowKey{
			Pod:  mesh.PodKey{Namespace: string(m["destination_namespace"]), Name: string(m["pod"])},
			Kind: string(m["destination_kind"]), Name: string(m["destination_name"]), Source: identityOf(string(m["source_identity"])),
		}
		if found[key] == nil {
			found[key] = &Flow{FlowKey: key, Buckets: map[float64]float64{}}
		}
		return found[key]
	}
	for _, s := range requests {
		at(s.Metric).Requests += number(s.Value)
	}
	for _, s := range failures {
		at(s.Metric).Failures += number(s.Value)
	}
	for _, s := range buckets {
		if limit, err := strconv.ParseFloat(string(s.Metric["le"]), 64); err == nil {
			at(s.Metric).Buckets[limit] += number(s.Value)
		}
	}
	out := make([]*Flow, 0, len(found))
	for _, flow := range found {
		out = append(out, flow)
	}
	slices.SortFunc(out, func(x, y *Flow) int {
		return cmp.Or(x.Pod.Compare(y.Pod), x.Source.Compare(y.Source), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
	})
	return out
}

// number takes what is no number for nothing.
func number(v model.SampleValue) float64 {
	if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return f
	}
	return 0
}

// identityOf reads spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT; what is none
// gives the zero value.
func identityOf(text string) mesh.Identity {
	parts := strings.Split(strings.TrimPrefix(text, "spiffe://"), "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return mesh.Identity{}
	}
	return mesh.Identity{Namespace: parts[2], ServiceAccount: parts[4]}
}

// sum is what several flows come to.
type sum struct {
	requests, failures float64
	buckets            map[float64]float64
}

func (s *sum) add(f *Flow) {
	s.requests += f.Requests
	s.failures += f.Failures
	if s.buckets == nil {
		s.buckets = map[float64]float64{}
	}
	for limit, n := range f.Buckets {
		s.buckets[limit] += n
	}
}

// quantile returns the milliseconds that the share q of the requests took at
// most, reckoned within its bucket as Prometheus does (histogram_quantile): 0 of
// nothing, and of what is above all buckets their largest limit.
func (s *sum) quantile(q float64) float64 {
	total := s.buckets[math.Inf(1)]
	if total <= 0 {
		return 0
	}
	limits := make([]float64, 0, len(s.buckets))
	for limit := range s.buckets {
		limits = append(limits, limit)
	}
	slices.Sort(limits)
	rank, below, count := q*total, 0.0, 0.0
	for _, limit := range limits {
		upTo := max(s.buckets[limit], count)
		if upTo >= rank && upTo > 0 {
			if math.IsInf(limit, 1) {
				return below
			}
			if upTo == count {
				return limit
			}
			return below + (limit-below)*(rank-count)/(upTo-count)
		}
		below, count = limit, upTo
	}
	return below
}
