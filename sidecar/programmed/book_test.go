package programmed

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var (
	split  = mesh.ObjectRef{Kind: "TrafficSplit", Namespace: "shop", Name: "cart", Generation: 1}
	target = mesh.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "cart", Generation: 1}
)

// deliveries answers by name and version.
type deliveries map[Resource]xds.Delivery

func (d deliveries) of(typeURL, name, version string) xds.Delivery {
	return d[Resource{typeURL, name, version}]
}

// said is the reason given for each kind of object.
func said(findings []mesh.Finding, pending bool) map[string]string {
	out, some := map[string]string{}, false
	for _, f := range findings {
		out[f.Object.Kind] = f.Reason
		if f.OK != (f.Reason == "Programmed") {
			out[f.Object.Kind] += " with the wrong status"
		}
		some = some || f.Reason == "Pending"
	}
	if pending != some {
		out["pending"] = fmt.Sprint(pending)
	}
	return out
}

func TestFindings(t *testing.T) {
	t.Parallel()
	a, b := Resource{"vh", "a", "1"}, Resource{"vh", "b", "1"}
	for name, test := range map[string]struct {
		object     Object
		deliveries deliveries
		want       string
	}{
		"all have it":                  {Object{split, true, []Resource{a}}, deliveries{a: {Subscribed: 3, Acked: 3}}, "Programmed"},
		"nobody is to have it":         {Object{split, true, []Resource{a}}, nil, "Programmed"},
		"nothing was made of it":       {Object{split, true, nil}, nil, "Programmed"},
		"one is behind":                {Object{split, true, []Resource{a}}, deliveries{a: {Subscribed: 3, Acked: 2}}, "Pending"},
		"one is behind in the second":  {Object{split, true, []Resource{a, b}}, deliveries{a: {Subscribed: 1, Acked: 1}, b: {Subscribed: 1}}, "Pending"},
		"a refusal outweighs a delay":  {Object{split, true, []Resource{a, b}}, deliveries{a: {Subscribed: 1}, b: {Subscribed: 1, Rejection: &xds.Rejection{}}}, "Rejected"},
		"nothing is sent of it at all": {Object{split, false, nil}, nil, "NotAccepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var book Book
			book.Put([]Object{test.object})
			if diff := cmp.Diff(map[string]string{"TrafficSplit": test.want}, said(book.Findings(test.deliveries.of))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatHasArrivedStaysSoUntilItChanges(t *testing.T) {
	t.Parallel()
	var book Book
	one, two := Resource{"vh", "a", "1"}, Resource{"vh", "a", "2"}
	objects := []Object{{split, true, []Resource{one}}, {target, true, []Resource{one}}}
	book.Put(objects)
	book.Findings(deliveries{one: {Subscribed: 1, Acked: 1}}.of)

	// A proxy has come that knows nothing yet; another snapshot has not
	// changed anything.
	behind := deliveries{one: {Subscribed: 2, Acked: 1}, two: {Subscribed: 2}}
	book.Put(objects)
	if diff := cmp.Diff(map[string]string{"TrafficSplit": "Programmed", "TrafficTarget": "Programmed"}, said(book.Findings(behind.of))); diff != "" {
		t.Errorf("with another proxy: %s", diff)
	}
	book.Put([]Object{{split, true, []Resource{two}}, objects[1]})
	if diff := cmp.Diff(map[string]string{"TrafficSplit": "Pending", "TrafficTarget": "Programmed"}, said(book.Findings(behind.of))); diff != "" {
		t.Errorf("with another version: %s", diff)
	}
	edited := split
	edited.Generation++
	book.Put([]Object{{edited, true, []Resource{one}}})
	if diff := cmp.Diff(map[string]string{"TrafficSplit": "Pending"}, said(book.Findings(behind.of))); diff != "" {
		t.Errorf("with another generation: %s", diff)
	}
}
