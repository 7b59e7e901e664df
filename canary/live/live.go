// Package live asks the sidecars of candidates what they have counted, once a
// second while a release is tried, so that a bad one is known before the next
// scrape and the next check.
//
//	pods -> totals -> window since the last check -> analysis.Lost -> reconcile
//
// It only ever brings a check's failure forward. Pods that don't answer, as those
// of another mesh, leave the release to its checks.
package live

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/heddle-mesh/heddle/canary/analysis"
	"github.com/heddle-mesh/heddle/canary/metrics"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

const (
	// pace is the time between two looks.
	pace = time.Second
	// patience is how long one pod has to answer.
	patience = time.Second
	// atOnce bounds the pods that are asked at the same time.
	atOnce = 64
	// longest is how much of an answer is read.
	longest = 4 << 20
)

// Subject is the candidate of a canary between two checks.
type Subject struct {
	// Selector finds its pods, in the namespace of the canary.
	Selector labels.Selector
	// Since is when the last check was, and tells one window from the next.
	Since    time.Time
	Limits   analysis.Limits
	Interval time.Duration
}

// Follower follows subjects. Its fields don't change after the start.
type Follower struct {
	// Pods reads from a cache.
	Pods client.Reader
	// Read asks a pod; it is that of a sidecar unless a test says otherwise.
	Read func(ctx context.Context, pod *corev1.Pod, latency time.Duration) (metrics.Totals, error)
	// Lost is told of each window that is lost, once.
	Lost  chan<- event.GenericEvent
	Clock func() time.Time

	mu       sync.Mutex
	followed map[types.NamespacedName]*window
}

// window is a subject and what was counted. Fields but subject and lost are
// touched by the goroutine of Start only.
type window struct {
	subject Subject
	lost    string

	since  time.Time // of the subject that was counted
	began  time.Time // first look of the window
	counts analysis.Window
	totals map[types.UID]metrics.Totals
}

// Follow looks at a canary's candidate from now on; it may be called as often as
// one likes.
func (f *Follower) Follow(canary types.NamespacedName, s Subject) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followed == nil {
		f.followed = map[types.NamespacedName]*window{}
	}
	w, ok := f.followed[canary]
	if !ok {
		w = &window{totals: map[types.UID]metrics.Totals{}}
		f.followed[canary] = w
	}
	if !s.Since.Equal(w.subject.Since) {
		w.lost = ""
	}
	w.subject = s
}

// Leave looks no longer.
func (f *Follower) Leave(canary types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followed, canary)
}

// Words says why the check after the time is lost; "" is that it isn't, as far as
// is known.
func (f *Follower) Words(canary types.NamespacedName, since time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w, ok := f.followed[canary]; ok && w.subject.Since.Equal(since) {
		return w.lost
	}
	return ""
}

// Start looks until the context ends. It is for the leader, which is who runs
// releases.
func (f *Follower) Start(ctx context.Context) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.look(ctx)
		}
	}
}

// asked is what a pod is asked for a window, and what it said.
type asked struct {
	window *window
	pod    *corev1.Pod
	totals metrics.Totals
	err    error
}

// look asks all pods once and judges what they say.
func (f *Follower) look(ctx context.Context) {
	f.mu.Lock()
	canaries := make(map[*window]types.NamespacedName, len(f.followed))
	subjects := make(map[*window]Subject, len(f.followed))
	for canary, w := range f.followed {
		if w.lost == "" {
			canaries[w], subjects[w] = canary, w.subject
		}
	}
	f.mu.Unlock()
	var all []*asked
	for w, canary := range canaries {
		for _, pod := range f.pods(ctx, canary.Namespace, subjects[w].Selector) {
			all = append(all, &asked{window: w, pod: pod})
		}
	}
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, a := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			a.totals, a.err = f.Read(ctx, a.pod, subjects[a.window].Limits.Latency)
		})
	}
	wg.Wait()
	answers := map[*window]map[types.UID]metrics.Totals{}
	for _, a := range all {
		if a.err == nil {
			if answers[a.window] == nil {
				answers[a.window] = map[types.UID]metrics.Totals{}
			}
			answers[a.window][a.pod.UID] = a.totals
		}
	}
	now := f.Clock()
	for w, canary := range canaries {
		if words := w.add(subjects[w], answers[w], now); words != "" {
			f.report(ctx, canary, w, subjects[w], words)
		}
	}
}

// pods are those that may serve.
func (f *Follower) pods(ctx context.Context, namespace string, selector labels.Selector) []*corev1.Pod {
	var list corev1.PodList
	if err := f.Pods.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy); err != nil {
		return nil // there is no cache yet, or no more
	}
	var serving []*corev1.Pod
	for i := range list.Items {
		if p := &list.Items[i]; p.Status.PodIP != "" && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && !p.Spec.HostNetwork {
			serving = append(serving, p)
		}
	}
	return serving
}

// add counts what came since the last look. What a pod counted before it was first
// looked at is not of this window.
func (w *window) add(s Subject, answers map[types.UID]metrics.Totals, now time.Time) string {
	fresh := !s.Since.Equal(w.since) || w.began.IsZero()
	if fresh {
		w.since, w.began, w.counts = s.Since, now, analysis.Window{}
	}
	for uid, totals := range answers {
		if earlier, seen := w.totals[uid]; seen && !fresh {
			came := totals.Since(earlier)
			w.counts.Requests += came.Requests
			w.counts.Bad += came.Bad
			w.counts.Slow += came.Slow
			w.counts.SlowKnown = w.counts.SlowKnown || came.SlowKnown
		}
		w.totals[uid] = totals
	}
	for uid := range w.totals {
		if _, answered := answers[uid]; !answered {
			delete(w.totals, uid)
		}
	}
	w.counts.Elapsed = now.Sub(w.began)
	words, _ := analysis.Lost(s.Limits, s.Interval, w.counts)
	return words
}

func (f *Follower) report(ctx context.Context, canary types.NamespacedName, w *window, s Subject, words string) {
	f.mu.Lock()
	current := f.followed[canary] == w && w.subject.Since.Equal(s.Since)
	if current {
		w.lost = words
	}
	f.mu.Unlock()
	if !current {
		return
	}
	object := &heddlev1alpha1.Canary{ObjectMeta: metav1.ObjectMeta{Namespace: canary.Namespace, Name: canary.Name}}
	select {
	case f.Lost <- event.GenericEvent{Object: object}:
	case <-ctx.Done():
	}
}

// Sidecar reads a pod's totals from its sidecar.
func Sidecar() func(ctx context.Context, pod *corev1.Pod, latency time.Duration) (metrics.Totals, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Second, DialContext: (&net.Dialer{Timeout: patience}).DialContext}
	plain := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context, pod *corev1.Pod, latency time.Duration) (metrics.Totals, error) {
		url := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(heddlev1alpha1.PortStats)) + heddlev1alpha1.StatsPath
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return metrics.Totals{}, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		response, err := plain.Do(request)
		if err != nil {
			return metrics.Totals{}, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return metrics.Totals{}, fmt.Errorf("pod %s: %s", pod.Name, response.Status)
		}
		return metrics.ReadTotals(io.LimitReader(response.Body, longest), latency)
	}
}
