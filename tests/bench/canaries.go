package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// releases is what many canaries at once cost the leader.
type releases struct {
	Machine  string `json:"machine"`
	Canaries int    `json:"canaries"`
	Steps    int    `json:"steps"`
	// Checks is how many were made, LateP99MS and LateMaxMS by how much longer than
	// the interval it took until the next.
	Checks    int     `json:"checks"`
	LateP99MS float64 `json:"lateP99MS"`
	LateMaxMS float64 `json:"lateMaxMS"`
	// IdleCalls are the leader's requests to the API server for one canary that has
	// nothing to release, in a minute; StepCalls are those of a whole release, by its
	// steps.
	IdleCalls float64 `json:"idleCalls"`
	StepCalls float64 `json:"stepCalls"`
	IdleCPUMS float64 `json:"idleCPUMS"`
	PeakBytes int64   `json:"peakBytes"`
}

// checkEvery is the interval of the canaries, looked how long idle ones are watched.
const (
	checkEvery = 10 * time.Second
	looked     = 30 * time.Second
)

var stepWeights = []int32{10, 30, 60}

// manyCanaries releases with so many Canaries at once. A Prometheus that is always
// content and Deployments that are ready at once stand in for a cluster.
func manyCanaries(ctx context.Context, o options, s size, out io.Writer) (any, error) {
	n, say := s.Services, saying(s)
	c, err := startCluster(o.assets, s, say)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.stop() }()
	prometheus, err := startContent(ctx)
	if err != nil {
		return nil, err
	}
	c.prometheusURL = prometheus.url
	if err := c.namespaces(ctx); err != nil {
		return nil, err
	}
	binary, err := c.program(ctx, o.binary)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := c.readyAtOnce(ctx); err != nil {
		return nil, err
	}
	operator, _, err := c.operator(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer operator.stop()
	err = errors.Join(
		c.each(ctx, "Deployments", n, func(ctx context.Context, i int) error { return c.client.Create(ctx, deployment(i)) }),
		c.each(ctx, "Canaries", n, func(ctx context.Context, i int) error { return c.client.Create(ctx, canary(i)) }),
		c.phase(ctx, n, "Idle"),
	)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, operator.tail())
	}
	r := releases{Machine: machine(), Canaries: n, Steps: len(stepWeights)}
	say("nothing to release, for %s", looked)
	calls, cpu, err := operator.spent(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(looked): // what is measured is this time
	}
	callsIdle, cpuIdle, err := operator.spent(ctx)
	if err != nil {
		return nil, err
	}
	r.IdleCalls = (callsIdle - calls) / float64(n) * float64(time.Minute/looked)
	r.IdleCPUMS = float64((cpuIdle - cpu).Milliseconds()) / looked.Seconds()
	err = c.each(ctx, "releases", n, func(ctx context.Context, i int) error {
		patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"v2"}]}}}}`)
		return c.client.Patch(ctx, deployment(i), client.RawPatch("application/strategic-merge-patch+json", patch))
	})
	if err = errors.Join(err, c.phase(ctx, n, "Succeeded")); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, operator.tail())
	}
	callsAfter, _, err := operator.spent(ctx)
	if err != nil {
		return nil, err
	}
	r.StepCalls = (callsAfter - callsIdle) / float64(n*r.Steps)
	var late []float64
	if r.Checks, late = prometheus.late(); len(late) == 0 {
		return nil, errors.New("no Canary was judged twice")
	}
	r.LateP99MS, r.LateMaxMS = late[len(late)*99/100], late[len(late)-1]
	if r.PeakBytes, err = operator.peak(); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "\n%d Canaries release at once, %d steps, a check every %s\n", n, r.Steps, checkEvery)
	fmt.Fprintf(out, "%d checks, late by p99 %.0f ms, at most %.0f ms; peak %.0f MiB\n", r.Checks, r.LateP99MS, r.LateMaxMS, mebibytes(r.PeakBytes))
	fmt.Fprintf(out, "requests to the API server: %.2f a minute for an idle Canary, %.1f for each step of a release; idle CPU %.1f ms/s for all\n", r.IdleCalls, r.StepCalls, r.IdleCPUMS)
	return r, nil
}

func appName(i int) string { return fmt.Sprint("app-", i) }

func deployment(i int) *appsv1.Deployment {
	one, labels := int32(1), map[string]string{"app": appName(i)}
	return &appsv1.Deployment{ObjectMeta: meta(appName(i)), Spec: appsv1.DeploymentSpec{
		Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "v1"}}}},
	}}
}

func canary(i int) *heddlev1alpha1.Canary {
	c := &heddlev1alpha1.Canary{ObjectMeta: meta(appName(i))}
	c.Spec.TargetRef = heddlev1alpha1.CanaryTargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: appName(i)}
	c.Spec.Service.Port = 80
	c.Spec.Analysis.Interval.Duration = checkEvery
	c.Spec.Analysis.StepWeights = stepWeights
	return c
}

// phase waits until so many canaries are there.
func (c *cluster) phase(ctx context.Context, n int, want heddlev1alpha1.CanaryPhase) error {
	c.say("until all are %s", want)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var list heddlev1alpha1.CanaryList
		if err := c.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		there := 0
		for i := range list.Items {
			switch list.Items[i].Status.Phase {
			case want:
				there++
			case "Failed":
				return fmt.Errorf("%s: %s", list.Items[i].Name, list.Items[i].Status.Message)
			}
		}
		if there == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d are %s: %w", there, n, want, ctx.Err())
		case <-tick.C:
		}
	}
}

// readyAtOnce stands in for the controllers and kubelets behind Deployments.
func (c *cluster) readyAtOnce(ctx context.Context) error {
	watching, err := client.NewWithWatch(c.environment.Config, client.Options{Scheme: c.client.Scheme()})
	if err != nil {
		return err
	}
	pending := make(chan *appsv1.Deployment, 10_000)
	go func() {
		defer close(pending)
		for ctx.Err() == nil { // an API server that has just started ends a watch, too
			events, err := watching.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(namespace))
			if err != nil {
				continue
			}
			for e := range events.ResultChan() {
				if d, ok := e.Object.(*appsv1.Deployment); ok && d.Status.ObservedGeneration != d.Generation {
					pending <- d
				}
			}
		}
	}()
	for range writesAtOnce {
		go func() {
			for d := range pending {
				n := *d.Spec.Replicas
				d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, AvailableReplicas: n, ReadyReplicas: n}
				// What has changed meanwhile comes again.
				if err := c.client.Status().Update(ctx, d); err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
					c.say("status of %s: %v", d.Name, err)
				}
			}
		}()
	}
	return nil
}

// spent is how many requests the operator has sent to the API server, and its
// processor time.
func (p *process) spent(ctx context.Context) (calls float64, cpu time.Duration, err error) {
	families, err := p.counted(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range families["rest_client_requests_total"].GetMetric() {
		calls += m.GetCounter().GetValue()
	}
	cpu, err = p.cpu()
	return calls, cpu, err
}

// content is a Prometheus to which all is well, and that notes who is asked about
// when.
type content struct {
	url string
	mu  sync.Mutex
	at  map[string][]time.Time
}

var asksAbout = regexp.MustCompile(`^sum\(increase\(.*destination_name="([^"]+)"\}`)

func startContent(ctx context.Context) (*content, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &content{url: "http://" + listener.Addr().String(), at: map[string][]time.Time{}}
	server := &http.Server{Handler: http.HandlerFunc(c.answer), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return c, nil
}

func (c *content) answer(w http.ResponseWriter, r *http.Request) {
	query, value := r.FormValue("query"), "100"
	switch name := asksAbout.FindStringSubmatch(query); {
	case strings.HasPrefix(query, "histogram_quantile"):
		value = "10"
	case name == nil:
		value = "0"
	default:
		c.mu.Lock()
		c.at[name[1]] = append(c.at[name[1]], time.Now())
		c.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[`+strconv.FormatInt(time.Now().Unix(), 10)+`,"`+value+`"]}]}}`)
}

// late is how many checks there were, and by how many milliseconds the time from each
// to the next was longer than the interval, in order of size.
func (c *content) late() (checks int, by []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.at {
		checks += len(times)
		for i := 1; i < len(times); i++ {
			by = append(by, float64((times[i].Sub(times[i-1])-checkEvery).Microseconds())/1000)
		}
	}
	slices.Sort(by)
	return checks, by
}
