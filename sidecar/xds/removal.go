package xds

import (
	"maps"
	"slices"
)

// removeOrder is the order of removals: what refers to something goes before
// it. Assignments go after their clusters, since Envoy takes the endpoints
// away from a cluster that is still in use.
var removeOrder = []string{TypeVirtualHost, TypeRoutes, TypeListener, TypeSecret, TypeCluster, TypeEndpoints}

// sendRemovals sends the removals that can be sent now: at once those of
// names that the proxy waits for and doesn't hold, else when all that was
// sent before is acknowledged, one type at a time.
func (st *stream) sendRemovals() error {
	quiet := true
	for _, sub := range st.subscriptions {
		quiet = quiet && len(sub.outstanding) == 0
	}
	for _, typeURL := range removeOrder {
		sub := st.subscriptions[typeURL]
		if sub == nil || len(st.removals[typeURL]) == 0 {
			continue
		}
		now, held := st.removable(typeURL, sub, quiet)
		if len(now) == 0 {
			continue
		}
		if err := st.send(typeURL, nil, now); err != nil {
			return err
		}
		if held {
			quiet = false
		}
	}
	return nil
}

// removable takes from the pending removals those to send now. held is true
// if the proxy has any of them.
func (st *stream) removable(typeURL string, sub *subscription, quiet bool) (now []string, held bool) {
	for _, name := range slices.Sorted(maps.Keys(st.removals[typeURL])) {
		holds, waits := sub.entries[name].holds, sub.entries[name].force
		switch {
		case !holds && !waits:
			// Given up since.
			delete(st.removals[typeURL], name)
		case waits && !holds:
			now = append(now, name)
		case st.covers(typeURL, sub, name) && st.resource(typeURL, name) != nil:
			// It is there again; the change that brought it is queued.
			delete(st.removals[typeURL], name)
		case quiet:
			now, held = append(now, name), true
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, name := range now {
		delete(st.removals[typeURL], name)
		sub.forget(name)
	}
	return now, held
}
