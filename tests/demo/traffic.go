package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// splitTolerance is how far a share may be from its weight, in percentage
// points, over 10,000 requests.
const splitTolerance = 1.0

func (d *demo) showSplit(ctx context.Context) error {
	d.say.step("A TrafficSplit: 90 % of cart's requests to v1, 10 % to v2")
	if err := d.apply(ctx, "split.yaml"); err != nil {
		return err
	}
	if err := d.programmed(ctx, ref{splits, shop, "cart"}); err != nil {
		return err
	}
	d.say.tellf("%d requests from frontend to http://cart:8080/items ...", d.requests)
	begin := time.Now()
	t, err := d.call(ctx, "frontend", d.requests, "http://cart:8080/items")
	if err != nil {
		return err
	}
	d.say.tellf("took %v, %d failed", time.Since(begin).Round(100*time.Millisecond), t.failed())
	deviation := shares(t, map[string]int{"v1": 90, "v2": 10})
	for _, s := range deviation {
		d.say.tellf("%s: %5d requests, %5.2f %% where %d %% was asked for: %+.2f points", s.version, s.count, s.percent, s.want, s.off())
	}
	for _, s := range deviation {
		if math.Abs(s.off()) > splitTolerance {
			return fmt.Errorf("the share of %s is %.2f points off", s.version, s.off())
		}
	}
	if n := t.failed(); n > 0 {
		return fmt.Errorf("%d of the split's requests failed: %v %s", n, t.ByCode, t.LastError)
	}
	return nil
}

// share is what one version got.
type share struct {
	version string
	count   int
	percent float64
	want    int
}

func (s share) off() float64 { return s.percent - float64(s.want) }

// shares compares what versions got with the percentages wanted, in the order
// of their names.
func shares(t tally, want map[string]int) []share {
	var out []share
	for _, version := range sorted(want) {
		s := share{version: version, count: t.ByVersion[version], want: want[version]}
		if t.Total > 0 {
			s.percent = 100 * float64(s.count) / float64(t.Total)
		}
		out = append(out, s)
	}
	return out
}

func (d *demo) showAccess(ctx context.Context) error {
	d.say.step("A TrafficTarget: only frontend may read cart's items, nobody else may do anything there")
	calls := []struct {
		from, method, path string
		want               string
	}{
		{"frontend", "GET", "/items", "200"},
		{"frontend", "POST", "/items", "403"},
		{"frontend", "GET", "/admin", "403"},
		{"stranger", "GET", "/items", "403"},
	}
	d.say.tellf("before: stranger GET /items is answered %s", d.code(ctx, "stranger", "GET", "/items"))
	if err := d.apply(ctx, "access.yaml"); err != nil {
		return err
	}
	if err := d.programmed(ctx, ref{targets, shop, "cart"}); err != nil {
		return err
	}
	// The condition says what was sent; the pods of cart are asked until they
	// do it, which is to take less than a second.
	begin := time.Now()
	for d.code(ctx, "stranger", "GET", "/items") != "403" {
		if time.Since(begin) > 10*time.Second {
			return fmt.Errorf("stranger is still let in after %v", time.Since(begin).Round(time.Second))
		}
	}
	var wrong []string
	for _, c := range calls {
		got := d.code(ctx, c.from, c.method, c.path)
		d.say.tellf("after:  %-8s %-4s %-6s is answered %s", c.from, c.method, c.path, got)
		if got != c.want {
			wrong = append(wrong, fmt.Sprintf("%s %s %s: %s instead of %s", c.from, c.method, c.path, got, c.want))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("access is not as the TrafficTarget says: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// code is what ten equal requests are answered, or a word for that they are
// not all answered the same.
func (d *demo) code(ctx context.Context, from, method, path string) string {
	const n = 10
	t, err := d.call(ctx, from, n, "-method", method, "http://cart:8080"+path)
	if err != nil {
		return err.Error()
	}
	for code, count := range t.ByCode {
		if count == n {
			return code
		}
	}
	return fmt.Sprintf("differently: %v, %d errors", t.ByCode, t.Errors)
}
