package build

import (
	"fmt"
	"testing"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
)

// large returns a mesh of n services with a split each, three endpoints of one
// account each, and a target for each account.
func large(n int) Objects {
	var o Objects
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		o.Services = append(o.Services, service(name, fmt.Sprintf("10.96.%d.%d", i/250, i%250)))
		s := slice(name, 8080)
		for j := range 3 {
			instance, ip := fmt.Sprintf("%s-%d", name, j), fmt.Sprintf("10.%d.%d.%d", j+1, i/250, i%250)
			o.Pods = append(o.Pods, pod(instance, name, ip, probed("/live", 8080), ownedBy("ReplicaSet", name+"-5f6"), withTemplateHash("5f6")))
			s.Endpoints = append(s.Endpoints, endpoint(ip, of(instance)))
		}
		o.EndpointSlices = append(o.EndpointSlices, s)
		t := split(name, fmt.Sprintf("%s=90", name), fmt.Sprintf("s%d=10", (i+1)%n))
		t.Spec.Service = name
		o.TrafficSplits = append(o.TrafficSplits, t)
		o.TrafficTargets = append(o.TrafficTargets, changed(target(name, byHTTP(name)), func(s *accessv1alpha3.TrafficTargetSpec) {
			s.Destination.Name = name
		}))
		o.HTTPRouteGroups = append(o.HTTPRouteGroups, group(name,
			specsv1alpha4.HTTPMatch{Name: "read", PathRegex: `/items(/[^/]+)*`, Methods: []string{"GET"}},
			specsv1alpha4.HTTPMatch{Name: "write", PathRegex: `/items/[a-z0-9-]+`, Methods: []string{"PUT", "DELETE"}}))
	}
	return o
}

func BenchmarkBuild(b *testing.B) {
	objects := large(1000)
	before, findings := Build(objects)
	for _, f := range findings {
		if !f.OK {
			b.Fatalf("%+v", f)
		}
	}
	if before.Endpoints.Len() != 1000 || before.PodsByIP.Len() != 3000 || before.Policies.Len() != 1000 {
		b.Fatalf("%d endpoint sets, %d addresses, %d policies", before.Endpoints.Len(), before.PodsByIP.Len(), before.Policies.Len())
	}
	b.ReportAllocs()
	for b.Loop() {
		Build(objects)
	}
}

// The cost of a change does not follow the size of the mesh.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{100, 1_000, 10_000} {
		objects := large(size)
		builder := NewBuilder()
		builder.Apply(objects.changes())
		// Each change is there and back.
		for name, change := range map[string]func(back bool) Changes{
			"endpoint": func(back bool) Changes {
				s := objects.EndpointSlices[7].DeepCopy()
				if !back {
					s.Endpoints = s.Endpoints[1:]
				}
				var c Changes
				c.EndpointSlices.Put(s)
				return c
			},
			"weight": func(back bool) Changes {
				s := objects.TrafficSplits[7].DeepCopy()
				if !back {
					s.Spec.Backends[0].Weight++
				}
				var c Changes
				c.TrafficSplits.Put(s)
				return c
			},
			"target": func(back bool) Changes {
				s := objects.TrafficTargets[7].DeepCopy()
				if !back {
					s.Spec.Sources[0].Name += "-2"
				}
				var c Changes
				c.TrafficTargets.Put(s)
				return c
			},
			"service": func(back bool) Changes {
				var c Changes
				if back {
					c.Services.Put(objects.Services[7])
				} else {
					c.Services.Drop(objects.Services[7])
				}
				return c
			},
			"pod": func(back bool) Changes {
				var c Changes
				if back {
					c.Pods.Put(objects.Pods[7])
				} else {
					c.Pods.Drop(objects.Pods[7])
				}
				return c
			},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				there, back := change(false), change(true)
				b.ReportAllocs()
				for b.Loop() {
					builder.Apply(there)
					builder.Apply(back)
				}
			})
		}
	}
}
