package xds

import (
	"fmt"
	"testing"
)

// fixed answers everything with the same resource.
type fixed struct{ resource *Resource }

func (f fixed) Resource(Client, string, string) *Resource { return f.resource }
func (fixed) Wildcard(Client, string) []string            { return nil }
func (fixed) InWildcard(Client, string, string) bool      { return false }

// BenchmarkPublish is what a publication of one changed name costs the
// publisher, by how many streams ask for that name and how many other names
// there are.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []struct{ streams, concerned, names int }{
		{1000, 1000, 1}, {1000, 1000, 100}, {1000, 10, 100}, {1000, 1, 10000 / 1000}, {10, 10, 10000},
	} {
		b.Run(fmt.Sprintf("streams=%d/concerned=%d/names=%d", size.streams, size.concerned, size.names), func(b *testing.B) {
			server := newTestServer(b, nil)
			for i := range size.streams {
				st := newStream(server, nil, Client{Namespace: "n", Pod: fmt.Sprint(i)})
				server.add(st)
				sub := newSubscription()
				st.subscriptions[TypeEndpoints] = sub
				var names []string
				for n := range size.names {
					names = append(names, fmt.Sprint("other", n))
				}
				if i < size.concerned {
					names = append(names, "changed")
				}
				server.subscribe(st, TypeEndpoints, names, nil, false)
			}
			snapshot := fixed{made(TypeEndpoints, "changed", "1")}
			change := Change{Names: map[string][]string{TypeEndpoints: {"changed"}}}
			b.ReportAllocs()
			for b.Loop() {
				server.Publish(snapshot, change)
			}
		})
	}
}
