// Package notify tells people of a release where they talk.
//
//	Message -> Render, in the service's own format -> POST
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/heddle-mesh/heddle/canary/egress"
)

// Severity says how bad something is. The zero value is Info.
type Severity int

// The severities.
const (
	Info Severity = iota
	Warn
	Error
)

// String returns the word for it.
func (s Severity) String() string { return [...]string{"info", "warn", "error"}[s] }

// Message is what is said.
type Message struct {
	Namespace, Name string // of the Canary
	Reason, Text    string
	Phase           string
	Severity        Severity
	Weight          int
	At              time.Time
}

// Provider is where to say it.
type Provider struct {
	Type              string // a key of formats
	Address           string
	Channel, Username string // empty is what the address has
}

// patience is how long one service may take.
const patience = 10 * time.Second

// Sender is safe for concurrent use.
type Sender struct {
	Guard egress.Guard
}

// Send says it once. Addresses of this kind are credentials, so no error has
// one.
func (s Sender) Send(ctx context.Context, p Provider, m Message) error {
	body, err := Render(p, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Address, bytes.NewReader(body))
	if err != nil {
		return errors.New("its address is no URL")
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := egress.Client(s.Guard, nil).Do(request)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return fmt.Errorf("send to %s: %w", p.Type, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("send to %s: it answered %d", p.Type, response.StatusCode)
	}
	return nil
}
