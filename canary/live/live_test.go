package live

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/metrics"
)

var cart = types.NamespacedName{Namespace: "shop", Name: "cart"}

// pods answer with what they were asked for so far; each look adds a hundred
// requests.
type pods map[string]*pod

type pod struct {
	mu     sync.Mutex
	bad    float64 // of each hundred
	mute   bool
	totals metrics.Totals
}

func (p pods) read(_ context.Context, of *corev1.Pod, _ time.Duration) (metrics.Totals, error) {
	one := p[of.Name]
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.mute {
		return metrics.Totals{}, errors.New("no answer")
	}
	one.totals.Requests += 100
	one.totals.Bad += one.bad
	return one.totals, nil
}

// fails has so many of the next hundreds fail.
func (p *pod) fails(bad float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = bad
}

// follow runs a follower of the pods that a test may change.
func follow(t *testing.T, p pods) (*Follower, <-chan event.GenericEvent) {
	t.Helper()
	build := fake.NewClientBuilder()
	for name := range p {
		build = build.WithObjects(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "cart"}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"},
		})
	}
	lost := make(chan event.GenericEvent, 10)
	f := &Follower{Pods: build.Build(), Read: p.read, Lost: lost, Clock: time.Now}
	go func() { _ = f.Start(t.Context()) }()
	return f, lost
}

func subject(since time.Time) Subject {
	return Subject{
		Selector: labels.SelectorFromSet(labels.Set{"app": "cart"}), Since: since, Interval: time.Minute,
		Limits: analysis.Limits{SuccessRate: 99, Latency: time.Second, MinRequests: 1},
	}
}

func TestABadCandidateIsKnownWithinSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pods{"a": {totals: metrics.Totals{Requests: 1e6, Bad: 1e6}}, "b": {}, "mute": {mute: true}}
		f, lost := follow(t, p)
		check := time.Now()
		f.Follow(cart, subject(check))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if words := f.Words(cart, check); words != "" || len(lost) > 0 {
			t.Fatalf("a good one, whatever was before, is given up: %s", words)
		}
		p["b"].fails(100)
		bad := time.Now()
		if e := <-lost; e.Object.GetName() != "cart" || time.Since(bad) > 4*time.Second {
			t.Errorf("%s after %s", e.Object.GetName(), time.Since(bad))
		}
		if words := f.Words(cart, check); !strings.Contains(words, "requests failed") {
			t.Errorf("words = %q", words)
		}
		if words := f.Words(cart, check.Add(time.Second)); words != "" {
			t.Errorf("another check is not lost by that: %q", words)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if len(lost) > 0 {
			t.Error("said twice")
		}
	})
}

func TestACheckThatPassedStartsAnotherWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pods{"a": {bad: 100}}
		f, lost := follow(t, p)
		first := time.Now()
		f.Follow(cart, subject(first))
		<-lost
		p["a"].fails(0)
		second := time.Now()
		f.Follow(cart, subject(second))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if words := f.Words(cart, second); words != "" || len(lost) > 0 {
			t.Errorf("what was before counts: %q", words)
		}
		f.Leave(cart)
		p["a"].fails(100)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if words := f.Words(cart, second); words != "" || len(lost) > 0 {
			t.Errorf("it still looks: %q", words)
		}
	})
}
