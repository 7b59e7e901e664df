package programmed

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
	"github.com/heddle-mesh/heddle/operator/mesh"
	"github.com/heddle-mesh/heddle/sidecar/envoy"
	"github.com/heddle-mesh/heddle/sidecar/xds"
)

var (
	epoch    = time.Unix(0, 0)
	cart     = mesh.PortKey{Service: mesh.ServiceKey{Namespace: "shop", Name: "cart"}, Port: 80}
	cartID   = mesh.Identity{Namespace: "shop", ServiceAccount: "cart"}
	workload = mesh.WorkloadKey{Namespace: "shop", Kind: "Deployment", Name: "cart", Variant: "1"}
	split    = ref("split", "TrafficSplit", "cart")
	target   = ref("access", "TrafficTarget", "cart")
)

func ref(group, kind, name string) mesh.ObjectRef {
	return mesh.ObjectRef{Group: group + ".smi-spec.io", Kind: kind, Namespace: "shop", Name: name, Generation: 1}
}

// resources has every resource in one version, and one workload of cart.
type resources string

func (r resources) Lookup(_, name string) *xds.Resource {
	return &xds.Resource{Name: name, Version: string(r)}
}

func (r resources) Residents(id mesh.Identity) iter.Seq[mesh.WorkloadKey] {
	return func(yield func(mesh.WorkloadKey) bool) {
		if id == cartID {
			yield(workload)
		}
	}
}

// state is a publication in which the split has a part in the port, the target in
// the identity, and all is as it should be.
func state(change func(*State)) State {
	s := State{
		Resources: resources("1"),
		Snapshot: &mesh.Snapshot{
			Services: mesh.TableOf(map[mesh.ServiceKey]*mesh.Service{cart.Service: {
				Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
				Ports:     []*mesh.Port{{Key: mesh.PortKey{Service: cart.Service, Port: 79}, Number: 79}, {Key: cart, Number: 80}},
			}}),
			Uses: mesh.TableOf(map[mesh.ObjectKey]*mesh.Use{
				split.Key(): {Ports: []mesh.PortKey{cart}}, target.Key(): {Identities: []mesh.Identity{cartID}},
			}),
		},
	}
	found(&s, split, true)
	found(&s, target, true)
	if change != nil {
		change(&s)
	}
	return s
}

// found says of the object whether it is accepted.
func found(s *State, ref mesh.ObjectRef, ok bool) {
	s.Reports = s.Reports.With(ref.Key(), &mesh.Report{Object: ref, Findings: []mesh.Finding{
		{Object: ref, Type: heddlev1alpha1.ConditionAccepted, OK: ok, Reason: "x", Message: "y"},
	}})
}

// deliveries are how far resources have come; of others nobody is to have any.
type deliveries map[Resource]xds.Delivery

func (d deliveries) of(r Resource) Delivery {
	return Delivery{Delivery: d[Resource{TypeURL: r.TypeURL, Name: r.Name, Version: r.asked()}]}
}

// said is the reason given for each kind of object.
func said(reports mesh.Reports) map[string]string {
	out := map[string]string{}
	for report := range reports.Values() {
		for _, f := range report.Findings {
			if f.Type == heddlev1alpha1.ConditionProgrammed {
				out[f.Object.Kind] = f.Reason
				if f.OK != (f.Reason == heddlev1alpha1.ReasonProgrammed) {
					out[f.Object.Kind] += " with the wrong status"
				}
			} else if out[f.Object.Kind] == "" {
				out[f.Object.Kind] = "nothing"
			}
		}
	}
	return out
}

func expect(t *testing.T, what string, reports mesh.Reports, split, target string) {
	t.Helper()
	want := map[string]string{"TrafficSplit": split, "TrafficTarget": target}
	maps.DeleteFunc(want, func(_, reason string) bool { return reason == "" })
	if diff := cmp.Diff(want, said(reports)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func host(version string) Resource {
	return Resource{TypeURL: xds.TypeVirtualHost, Name: "outbound/10.0.0.1:80", Version: version}
}

func TestReport(t *testing.T) {
	t.Parallel()
	second := Resource{TypeURL: xds.TypeVirtualHost, Name: "outbound/[fd00::1]:80", Version: "1"}
	listener := Resource{TypeURL: xds.TypeListener, Name: envoy.InboundListener(workload), Version: "1"}
	shared := func(s *State) {
		s.Snapshot.Services = mesh.TableOf(map[mesh.ServiceKey]*mesh.Service{cart.Service: {
			Ports: []*mesh.Port{{Key: cart, Number: 80, Protocol: mesh.ProtocolTCP, Route: &mesh.Route{}}},
		}})
	}
	assignment := Resource{TypeURL: xds.TypeEndpoints, Name: envoy.SplitAssignment(cart)} // in no version
	for name, test := range map[string]struct {
		change        func(*State)
		deliveries    deliveries
		split, target string
	}{
		"all have it":                    {nil, deliveries{host("1"): {Subscribed: 3, Acked: 3}}, "Programmed", "Programmed"},
		"nobody is to have it":           {nil, nil, "Programmed", "Programmed"},
		"one is behind":                  {nil, deliveries{host("1"): {Subscribed: 3, Acked: 2}}, "Pending", "Programmed"},
		"one is behind in the second":    {nil, deliveries{host("1"): {Subscribed: 1, Acked: 1}, second: {Subscribed: 1}}, "Pending", "Programmed"},
		"a refusal outweighs a delay":    {nil, deliveries{host("1"): {Subscribed: 1}, second: {Subscribed: 1, Rejection: &xds.Rejection{}}}, "Rejected", "Programmed"},
		"a callee is behind":             {nil, deliveries{listener: {Subscribed: 1}}, "Programmed", "Pending"},
		"each in a version of its own":   {shared, deliveries{assignment: {Subscribed: 2, Acked: 1}}, "Pending", "Programmed"},
		"nothing is sent of it":          {func(s *State) { found(s, split, false); s.Snapshot.Uses = s.Snapshot.Uses.Without(split.Key()) }, nil, "NotAccepted", "Programmed"},
		"wrong, but it has an effect":    {func(s *State) { found(s, split, false) }, nil, "Programmed", "Programmed"},
		"one without a part in anything": {func(s *State) { s.Snapshot.Uses = mesh.Table[mesh.ObjectKey, *mesh.Use]{} }, nil, "Programmed", "Programmed"},
		"one that is no proxy's business": {func(s *State) {
			found(s, mesh.ObjectRef{Group: "heddle.dev", Kind: "TrafficTarget", Namespace: "shop", Name: "cart"}, true)
		}, nil, "Programmed", "Programmed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book := NewBook()
			book.Update(state(test.change), epoch)
			reports, again := book.Report(test.deliveries.of, epoch.Add(Grace))
			expect(t, "reports", reports, test.split, test.target)
			if again != 0 {
				t.Errorf("to be looked at again after %s", again)
			}
		})
	}
}

func TestWhatHasArrivedStaysSoUntilItChanges(t *testing.T) {
	t.Parallel()
	book := NewBook()
	first := state(nil)
	book.Update(first, epoch)
	book.Report(deliveries{host("1"): {Subscribed: 1, Acked: 1}}.of, epoch)

	behind := deliveries{host("1"): {Subscribed: 2, Acked: 1}, host("2"): {Subscribed: 2}}
	now := epoch.Add(time.Minute)
	report := func(what string, next State, split string) {
		t.Helper()
		book.Update(next, now)
		now = now.Add(time.Minute)
		reports, _ := book.Report(behind.of, now)
		expect(t, what, reports, split, "Programmed")
	}
	report("a proxy that knows nothing yet", first, "Programmed")
	other := first
	other.Snapshot = &mesh.Snapshot{Services: first.Snapshot.Services.With(mesh.ServiceKey{Name: "other"}, &mesh.Service{}), Uses: first.Snapshot.Uses}
	report("another service", other, "Programmed")
	moved := *other.Snapshot
	moved.Services = moved.Services.With(cart.Service, &mesh.Service{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Ports: []*mesh.Port{{Key: cart, Number: 80}}})
	other.Snapshot, other.Resources = &moved, resources("2")
	report("another version", other, "Pending")
	edited := split
	edited.Generation++
	found(&other, edited, true)
	report("another generation", other, "Pending")
	behind[host("2")] = xds.Delivery{Subscribed: 2, Acked: 2}
	report("when it has come", other, "Programmed")
	renewed := edited
	renewed.UID = "another object of the name"
	found(&other, renewed, true)
	behind[host("2")] = xds.Delivery{Subscribed: 2, Acked: 1}
	report("another object of the name", other, "Pending")
}

// What will likely have come in a moment is said then, once.
func TestGrace(t *testing.T) {
	t.Parallel()
	book, d := NewBook(), deliveries{host("1"): {Subscribed: 1}}
	book.Update(state(nil), epoch)
	reports, again := book.Report(d.of, epoch.Add(Grace/5))
	expect(t, "at once", reports, "", "Programmed")
	if again != Grace*4/5 {
		t.Errorf("to be looked at again after %s", again)
	}
	late, _ := book.Report(d.of, epoch.Add(Grace))
	expect(t, "later", late, "Pending", "Programmed")
	d[host("1")] = xds.Delivery{Subscribed: 1, Acked: 1}
	done, _ := book.Report(d.of, epoch.Add(2*Grace))
	expect(t, "when it has come", done, "Programmed", "Programmed")
	if got := slices.Collect(mesh.Changed(late, done)); len(got) != 1 {
		t.Errorf("%v are news", got)
	}
	if len(book.open) > 0 {
		t.Errorf("%v are still looked at", book.open)
	}
}

// Whatever came before, a book says what one says that sees only the last state,
// and of objects that are gone it keeps nothing.
func TestBooksFollow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		book, now := NewBook(), epoch
		var last State
		for range rapid.IntRange(1, 6).Draw(t, "states") {
			last = state(func(s *State) {
				s.Resources = resources(fmt.Sprint(rapid.IntRange(1, 2).Draw(t, "version")))
				for _, object := range []mesh.ObjectRef{split, target} {
					object.Generation = int64(rapid.IntRange(1, 2).Draw(t, "generation"))
					switch rapid.IntRange(0, 3).Draw(t, object.Kind) {
					case 0:
						s.Reports = s.Reports.Without(object.Key())
						s.Snapshot.Uses = s.Snapshot.Uses.Without(object.Key())
					case 1:
						found(s, object, false)
						s.Snapshot.Uses = s.Snapshot.Uses.Without(object.Key())
					default:
						found(s, object, true)
					}
				}
				if rapid.Bool().Draw(t, "without the service") {
					s.Snapshot.Services = mesh.Table[mesh.ServiceKey, *mesh.Service]{}
				}
			})
			book.Update(last, now)
			now = now.Add(time.Minute)
			book.Report(func(r Resource) Delivery {
				return Delivery{Delivery: xds.Delivery{Subscribed: 1, Acked: rapid.IntRange(0, 1).Draw(t, "acked"+r.Version)}}
			}, now)
		}
		all := func(Resource) Delivery { return Delivery{} }
		got, _ := book.Report(all, now)
		fresh := NewBook()
		fresh.Update(last, now)
		want, _ := fresh.Report(all, now)
		if diff := cmp.Diff(maps.Collect(want.All()), maps.Collect(got.All())); diff != "" {
			t.Fatalf("(-of the last state +of all)\n%s", diff)
		}
		book.Update(State{Snapshot: &mesh.Snapshot{}}, now)
		if left, _ := book.Report(all, now); left.Len()+len(book.objects)+len(book.open)+len(book.byService)+len(book.byIdentity) > 0 {
			t.Errorf("of nothing is left: %+v", book)
		}
	})
}
