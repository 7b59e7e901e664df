// Package gate calls webhooks in the way that Flagger's are called.
//
//	Hook, Payload -> POST -> yes (200, 201, 202) or an error that says why not
package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/heddle-mesh/heddle/canary/egress"
)

// Hook is where to ask.
type Hook struct {
	Name, URL          string
	Timeout            time.Duration // of one attempt
	Retries            int           // after the first attempt
	InsecureSkipVerify bool
}

// Payload is what a hook is sent.
type Payload struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Phase     string            `json:"phase"`    // as Flagger calls it
	Checksum  string            `json:"checksum"` // of what is released
	Metadata  map[string]string `json:"metadata,omitempty"`
}

// Caller is safe for concurrent use.
type Caller struct {
	Guard egress.Guard
}

// between is how long a second attempt waits; each further one waits twice as
// long as the one before.
const between = 200 * time.Millisecond

// Call returns nil when the hook says yes. What it says beside its status is
// nobody's business.
func (c Caller) Call(ctx context.Context, h Hook, p Payload) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("hook %s: %w", h.Name, err)
	}
	for attempt := 0; ; attempt++ {
		if err = c.once(ctx, h, body); err == nil || attempt >= h.Retries {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hook %s: %w", h.Name, ctx.Err())
		case <-time.After(between << min(attempt, 5)):
		}
	}
	if err != nil {
		return fmt.Errorf("hook %s: %w", h.Name, err)
	}
	return nil
}

func (c Caller) once(ctx context.Context, h Hook, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err //nolint:wrapcheck // the caller names the hook
	}
	request.Header.Set("Content-Type", "application/json")
	config := &tls.Config{InsecureSkipVerify: h.InsecureSkipVerify} //nolint:gosec // asked for, by name
	response, err := egress.Client(c.Guard, config).Do(request)
	if err != nil {
		return err //nolint:wrapcheck // the caller names the hook
	}
	defer response.Body.Close()
	if response.StatusCode > http.StatusAccepted {
		return fmt.Errorf("it answered %d", response.StatusCode)
	}
	return nil
}
