package build

import (
	"fmt"
	"testing"

	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/mesh"
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
	before, findings := Build(objects, nil)
	for _, f := range findings {
		if !f.OK {
			b.Fatalf("%+v", f)
		}
	}
	if len(before.Endpoints) != 1000 || len(before.PodsByIP) != 3000 || len(before.Policies) != 1000 {
		b.Fatalf("%d endpoint sets, %d addresses, %d policies", len(before.Endpoints), len(before.PodsByIP), len(before.Policies))
	}
	for name, prev := range map[string]*mesh.Snapshot{"first": nil, "unchanged": before} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Build(objects, prev)
			}
		})
	}
}

func BenchmarkEndpointsOfOneService(b *testing.B) {
	objects := large(1000)
	snapshot, _ := Build(objects, nil)
	one := objects.EndpointSlices[:1]
	b.ReportAllocs()
	for b.Loop() {
		Endpoints(one, snapshot)
	}
}
