// Package ingest watches Kubernetes and publishes mesh snapshots. One
// goroutine owns the whole of it: informers only say what kind of thing
// changed, the loop reads the caches, builds and publishes.
//
//	informers -> dirty marks -> loop -> build.Build -> Publish
//
// A change that comes alone is published at once; while a build is under way
// changes gather. Endpoints have a shorter way: a change of slices touches
// the services they belong to and nothing else.
package ingest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	accessv1alpha3 "github.com/heddle-mesh/heddle/crds/smi/access/v1alpha3"
	specsv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/specs/v1alpha4"
	splitv1alpha4 "github.com/heddle-mesh/heddle/crds/smi/split/v1alpha4"
	"github.com/heddle-mesh/heddle/operator/build"
	"github.com/heddle-mesh/heddle/operator/mesh"
)

// holdOff is the least time between two whole builds, so that a storm of
// changes costs a bounded share of the processor.
const holdOff = 20 * time.Millisecond

// Publish takes a snapshot and the findings of its build; findings are nil
// when only endpoints changed. It is called by one goroutine.
type Publish func(ctx context.Context, snapshot *mesh.Snapshot, findings []mesh.Finding)

// Loop is the ingestion. Start it once.
type Loop struct {
	cache   cache.Cache
	publish Publish

	wake chan struct{}
	mu   sync.Mutex
	// all asks for a whole build, services for their endpoints only.
	all      bool
	services map[types.NamespacedName]struct{}

	snapshot *mesh.Snapshot
}

// New returns a loop over the cache, which must be started by its owner.
func New(c cache.Cache, publish Publish) *Loop {
	return &Loop{
		cache: c, publish: publish,
		wake:     make(chan struct{}, 1),
		services: map[types.NamespacedName]struct{}{},
	}
}

// NeedLeaderElection is false: every replica serves proxies.
func (l *Loop) NeedLeaderElection() bool { return false }

// Start waits for the caches, publishes a whole snapshot and then one per
// gathered change until the context ends.
func (l *Loop) Start(ctx context.Context) error {
	if err := l.watch(ctx); err != nil {
		return err
	}
	if !l.cache.WaitForCacheSync(ctx) {
		return ctx.Err()
	}
	l.markAll()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		}
		whole, err := l.step(ctx)
		if err != nil {
			return err
		}
		if !whole {
			continue
		}
		hold := time.NewTimer(holdOff)
		select {
		case <-ctx.Done():
			hold.Stop()
			return nil
		case <-hold.C:
		}
	}
}

// step works off what is marked and tells whether that was a whole build.
func (l *Loop) step(ctx context.Context) (whole bool, err error) {
	l.mu.Lock()
	all, services := l.all, l.services
	l.all, l.services = false, map[types.NamespacedName]struct{}{}
	l.mu.Unlock()
	switch {
	case all || l.snapshot == nil:
		objects, err := l.gather(ctx)
		if err != nil {
			return false, err
		}
		snapshot, findings := build.Build(objects, l.snapshot)
		l.snapshot = snapshot
		l.publish(ctx, snapshot, findings)
		return true, nil
	case len(services) > 0:
		next, judged, err := l.endpoints(ctx, services)
		if err != nil {
			return false, err
		}
		l.snapshot = next
		l.publish(ctx, next, nil)
		if judged {
			l.markAll()
		}
	}
	return false, nil
}

// endpoints returns the snapshot with the endpoints of the services anew.
// judged is true if findings depend on what changed: whether there is anything
// behind a backend of a split. Only a whole build has findings.
func (l *Loop) endpoints(ctx context.Context, services map[types.NamespacedName]struct{}) (_ *mesh.Snapshot, judged bool, err error) {
	next := *l.snapshot
	next.Generation++
	next.Endpoints = maps.Clone(l.snapshot.Endpoints)
	for name := range services {
		service := next.Services[mesh.ServiceKey{Namespace: name.Namespace, Name: name.Name}]
		if service == nil {
			continue
		}
		var list discoveryv1.EndpointSliceList
		err := l.cache.List(ctx, &list, client.InNamespace(name.Namespace),
			client.MatchingLabels{discoveryv1.LabelServiceName: name.Name}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, false, fmt.Errorf("list endpoint slices of %s: %w", name, err)
		}
		sets := build.Endpoints(pointers(list.Items), &next)
		for _, port := range service.Ports {
			if set := sets[port.Key]; set != nil {
				next.Endpoints[port.Key] = set
			} else {
				delete(next.Endpoints, port.Key)
			}
			if (l.snapshot.Endpoints[port.Key] == nil) != (next.Endpoints[port.Key] == nil) {
				judged = judged || next.HasShare(port.Key)
			}
		}
	}
	return &next, judged, nil
}

func (l *Loop) gather(ctx context.Context) (build.Objects, error) {
	var (
		config     heddlev1alpha1.MeshConfigList
		namespaces corev1.NamespaceList
		services   corev1.ServiceList
		endpoints  discoveryv1.EndpointSliceList
		pods       corev1.PodList
		splits     splitv1alpha4.TrafficSplitList
		targets    accessv1alpha3.TrafficTargetList
		groups     specsv1alpha4.HTTPRouteGroupList
		routes     specsv1alpha4.TCPRouteList
		datagrams  specsv1alpha4.UDPRouteList
	)
	for _, list := range []client.ObjectList{&config, &namespaces, &services, &endpoints, &pods, &splits, &targets, &groups, &routes, &datagrams} {
		if err := l.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return build.Objects{}, fmt.Errorf("list %T: %w", list, err)
		}
	}
	objects := build.Objects{
		Namespaces: pointers(namespaces.Items), Services: pointers(services.Items),
		EndpointSlices: pointers(endpoints.Items), Pods: pointers(pods.Items),
		TrafficSplits: pointers(splits.Items), TrafficTargets: pointers(targets.Items),
		HTTPRouteGroups: pointers(groups.Items), TCPRoutes: pointers(routes.Items),
		UDPRoutes: pointers(datagrams.Items),
	}
	for i := range config.Items {
		if config.Items[i].Name == heddlev1alpha1.MeshConfigName {
			objects.MeshConfig = &config.Items[i]
		} else {
			objects.OtherMeshConfigs = append(objects.OtherMeshConfigs, &config.Items[i])
		}
	}
	return objects, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
