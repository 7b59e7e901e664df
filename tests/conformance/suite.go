package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// suite is one of SMI's, with one version of its API.
type suite struct {
	name    string
	version string
	steps   []step
}

// step is one of the suite's. Its duration is how long after the last change
// something was seen, zero where nothing was to be seen.
type step struct {
	does string
	run  func(context.Context, *cluster) (time.Duration, error)
}

// run takes the steps in order and ends with the first that fails: those that
// follow stand on it.
func (s suite) run(ctx context.Context, c *cluster, tell func(outcome)) capability {
	out := capability{Name: s.name, Version: s.version}
	failed := false
	tell(outcome{Does: s.name + ", " + s.version})
	for i, st := range s.steps {
		o := outcome{Step: i + 1, Does: st.does, Result: skipped}
		if !failed {
			after, err := st.run(ctx, c)
			o.Result, o.Effective = passed, after.Round(time.Millisecond).Milliseconds()
			if err == nil && after > c.limit {
				err = fmt.Errorf("in force only after %s, the limit is %s", after.Round(time.Millisecond), c.limit)
			}
			if err != nil {
				o.Result, o.Error, failed = missed, err.Error(), true
			}
		}
		out.Steps = append(out.Steps, o)
		tell(o)
	}
	return out
}

// suites are all, each with the oldest and the newest version of its API.
func suites() []suite {
	return []suite{
		access("v1alpha1"), access("v1alpha3"),
		specs("v1alpha1"), specs("v1alpha4"),
		split("v1alpha1"), split("v1alpha4"),
	}
}

// served is that the cluster knows the kind in the version.
func served(kind, groupVersion string) step {
	return step{kind + " is served", func(ctx context.Context, c *cluster) (time.Duration, error) {
		group, version, _ := strings.Cut(groupVersion, "/")
		out, err := c.kubectl(ctx, "", "api-resources", "--api-group="+group, "--no-headers")
		if err != nil {
			return 0, err
		}
		if !strings.Contains(out, kind) {
			return 0, fmt.Errorf("%s has no %s", group, kind)
		}
		_, err = c.kubectl(ctx, "", "get", "--raw", "/apis/"+group+"/"+version+"/namespaces/"+c.namespace+"/"+strings.ToLower(kind)+"s")
		return 0, err
	}}
}

// deployed is that the applications are there and nothing is said about them
// but the namespace's default for access; an empty one is the mesh's.
func deployed(access string) step {
	return step{"the applications are deployed", func(ctx context.Context, c *cluster) (time.Duration, error) {
		for _, app := range []string{"app-a", "app-b", "app-c"} {
			if _, err := c.kubectl(ctx, "", "rollout", "status", "deployment/"+app, "--timeout=2m"); err != nil {
				return 0, err
			}
		}
		if _, err := c.kubectl(ctx, "", "delete", "trafficsplits,traffictargets,httproutegroups,tcproutes", "--all"); err != nil {
			return 0, err
		}
		label := "heddle.dev/access-"
		if access != "" {
			label = "heddle.dev/access=" + access
		}
		return 0, c.change(ctx, "label", "--overwrite", "namespace", c.namespace, label)
	}}
}

// applied is a change.
func applied(does, manifest string) step {
	return step{does, func(ctx context.Context, c *cluster) (time.Duration, error) { return 0, c.apply(ctx, manifest) }}
}

// deleted is one that takes the objects away again.
func deleted(does string, objects ...string) step {
	return step{does, func(ctx context.Context, c *cluster) (time.Duration, error) {
		return 0, c.change(ctx, append([]string{"delete", "--wait=true"}, objects...)...)
	}}
}

// to is what is asked, and the code of every answer.
type to struct {
	code string
	args []string
}

// steady is how many requests must all be answered as expected, once the
// first are.
const steady = 100

// seen is that everything asked is answered as it should be.
func seen(does string, all ...to) step {
	return step{does, func(ctx context.Context, c *cluster) (time.Duration, error) {
		var last time.Duration
		for _, one := range all {
			as := func(a answers) bool { return a.all(one.code) }
			after, err := c.takes(ctx, as, 5, one.args...)
			if err != nil {
				return after, err
			}
			last = max(last, after)
		}
		for _, one := range all {
			switch a, err := c.ask(ctx, steady, one.args...); {
			case err != nil:
				return last, err
			case !a.all(one.code):
				return last, fmt.Errorf("%v: not all are answered with %s: %+v", one.args, one.code, a)
			}
		}
		return last, nil
	}}
}

// shared is that app-b gets the share of what app-svc is asked, and app-c the
// rest.
func shared(does string, want float64) step {
	near := func(by float64) func(answers) bool {
		if want == 0 || want == 1 {
			by = 0
		}
		return func(a answers) bool {
			b, c := a.share("app-b"), a.share("app-c")
			return math.Abs(b-want) <= by && math.Abs(b+c-1) < 1e-9
		}
	}
	return distributed(does, near(0.15), near(0.04))
}

// distributed is that what app-svc is asked is answered as the first few tell,
// and all that follow.
func distributed(does string, few, many func(answers) bool) step {
	return step{does, func(ctx context.Context, c *cluster) (time.Duration, error) {
		const url = "http://app-svc/"
		after, err := c.takes(ctx, few, 200, url)
		if err != nil {
			return after, err
		}
		switch a, err := c.ask(ctx, 2000, url); {
		case err != nil:
			return after, err
		case !many(a):
			return after, fmt.Errorf("first as it should be, then not: %+v", a)
		}
		return after, nil
	}}
}
