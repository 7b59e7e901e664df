package xds

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// Proxies reports on every connected proxy, ordered by namespace and pod.
func (s *Server) Proxies() []ProxyStatus {
	s.mu.Lock()
	streams := slices.Collect(maps.Keys(s.streams))
	s.mu.Unlock()
	out := make([]ProxyStatus, 0, len(streams))
	for _, st := range streams {
		out = append(out, st.status())
	}
	slices.SortFunc(out, func(a, b ProxyStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), a.ConnectedAt.Compare(b.ConnectedAt))
	})
	return out
}

// Handler serves Proxies as a ProxyList. It shows no secret, but who is in
// the mesh: serve it on the loopback interface only.
func (s *Server) Handler(operator string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(ProxyList{Operator: operator, Proxies: s.Proxies()}); err != nil {
			s.opts.Log.V(1).Info("list of proxies was not read to its end", "error", err.Error())
		}
	})
}

func (st *stream) status() ProxyStatus {
	st.mu.Lock()
	report := st.report
	st.mu.Unlock()
	types := slices.Clone(report.Types)
	for i, typeURL := range sendOrder {
		if i < len(types) {
			types[i].Pending = st.queue.pending(typeURL)
			report.Synced = report.Synced && types[i].Pending == 0
		}
	}
	report.Types = types
	return report
}

// publishReport lets others see where the stream stands.
func (st *stream) publishReport() {
	report := ProxyStatus{
		Namespace: st.client.Namespace, Pod: st.client.Pod, PodUID: st.client.PodUID,
		ServiceAccount: st.client.ServiceAccount, Version: st.version,
		ConnectedAt: st.connected, CertificateExpires: st.expires,
		Synced: len(st.subscriptions) > 0,
	}
	for _, typeURL := range sendOrder {
		t := TypeStatus{Type: shortNames[typeURL]}
		if sub := st.subscriptions[typeURL]; sub != nil {
			t.Sent, t.Acked = sub.holds, sub.acked
			report.Synced = report.Synced && len(sub.outstanding) == 0
			report.Rejected = append(report.Rejected, slices.Collect(maps.Values(sub.rejected))...)
		}
		report.Types = append(report.Types, t)
	}
	slices.SortFunc(report.Rejected, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	st.mu.Lock()
	st.report = report
	st.mu.Unlock()
}
