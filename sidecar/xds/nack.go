package xds

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

const (
	// maxMessage bounds what is kept of a proxy's words.
	maxMessage = 1024
	// quarantineSize and quarantineTime bound what is remembered of refusals
	// after their streams have ended.
	quarantineSize = 4096
	quarantineTime = 10 * time.Minute
)

// answer takes in an acknowledgement or refusal and returns the rejections.
// Envoy applies the good resources of a refused response and names the bad;
// if it names none, all are taken for bad.
func (s *subscription) answer(request *discoveryv3.DeltaDiscoveryRequest, now time.Time) []Rejection {
	resources, ok := s.outstanding[request.GetResponseNonce()]
	if !ok {
		return nil
	}
	delete(s.outstanding, request.GetResponseNonce())
	refused := request.GetErrorDetail() != nil
	message := clip(request.GetErrorDetail().GetMessage())
	var bad map[string]bool
	if refused {
		bad = map[string]bool{}
		for _, r := range resources {
			if message := request.GetErrorDetail().GetMessage(); names(message, r.Name) || names(message, r.own) {
				bad[r.Name] = true
			}
		}
	}
	all := refused && len(bad) == 0
	var rejections []Rejection
	for _, r := range resources {
		known := s.entries[r.Name]
		if !known.holds {
			continue // removed or given up since
		}
		if !all && !bad[r.Name] {
			s.acknowledge(r.Name, known, r.Version)
			continue
		}
		rejection := Rejection{
			Type: shortNames[request.GetTypeUrl()], Name: r.Name, Version: r.Version,
			Origin: r.Origin, Message: message, Since: now,
		}
		s.rejected[r.Name] = rejection
		rejections = append(rejections, rejection)
	}
	return rejections
}

// names is true if the message mentions the name as a whole: "cart/80" is not
// mentioned by "cart/8080". A colon ends a name where blank space follows, as
// in "cart/80: no such thing".
func names(message, name string) bool {
	if name == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(message[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		before := start == 0 || !partOfName(message[start-1])
		after := end == len(message) || !partOfName(message[end]) ||
			(message[end] == ':' || message[end] == '.') && (end+1 == len(message) || message[end+1] == ' ' || message[end+1] == '\n')
		if before && after {
			return true
		}
		from = start + 1
	}
}

func partOfName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./|:@~", c) >= 0 || c >= utf8.RuneSelf
}

// clip makes a proxy's words fit to be kept and shown.
func clip(message string) string {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	return strings.ToValidUTF8(message, "?")
}

// refusal is one proxy's no to one version of a resource.
type refusal struct {
	podUID, typeURL, name, version string
}

// quarantine remembers refusals beyond the streams they came by, so that a
// proxy that reconnects is not sent what it refused before. It is bounded:
// the oldest are forgotten first.
type quarantine struct {
	// any is false as long as nobody has refused anything.
	any   atomic.Bool
	mu    sync.Mutex
	held  map[refusal]Rejection
	order []refusal
}

func newQuarantine() *quarantine { return &quarantine{held: map[refusal]Rejection{}} }

func (q *quarantine) add(key refusal, rejection Rejection) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.held[key]; !ok {
		q.order = append(q.order, key)
	}
	q.held[key] = rejection
	q.any.Store(true)
	for len(q.order) > quarantineSize {
		delete(q.held, q.order[0])
		q.order = q.order[1:]
	}
}

// find returns the refusal unless it is too old to be believed.
func (q *quarantine) find(key refusal, now time.Time) (Rejection, bool) {
	if !q.any.Load() {
		return Rejection{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	rejection, ok := q.held[key]
	return rejection, ok && now.Sub(rejection.Since) < quarantineTime
}
