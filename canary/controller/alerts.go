package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/notify"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Notifier tells people.
type Notifier interface {
	Send(ctx context.Context, p notify.Provider, m notify.Message) error
}

// worthTelling are the Events that people are told of, as bad as they are. Steps
// forward are none of them.
var worthTelling = map[string]notify.Severity{
	"NewRevision": notify.Info, "Waiting": notify.Info, "Paused": notify.Info, "Promoting": notify.Info, "Succeeded": notify.Info, "Retrying": notify.Info,
	"CheckFailed": notify.Warn, "NoMetricData": notify.Warn, "RequestIgnored": notify.Warn, "Aborting": notify.Warn,
	"RollingBack": notify.Error, "DeadlineExceeded": notify.Error, "RolledBack": notify.Error, "Aborted": notify.Error,
}

var severities = map[string]notify.Severity{"": notify.Info, "info": notify.Info, "warn": notify.Warn, "error": notify.Error}

// alert tells of an Event whoever wants to be told of one so bad. What couldn't
// be told is logged; a release doesn't wait for it.
func (r *Reconciler) alert(ctx context.Context, canary *heddlev1alpha1.Canary, s engine.State, e engine.Emit, now time.Time) {
	severity, worth := worthTelling[e.Reason]
	if !worth {
		return
	}
	for _, a := range canary.Spec.Analysis.Alerts {
		if severity < severities[a.Severity] {
			continue
		}
		provider, err := r.alertProvider(ctx, client.ObjectKey{Namespace: canary.Namespace, Name: a.ProviderRef.Name})
		if err == nil {
			err = r.Alerts.Send(ctx, provider, notify.Message{
				Namespace: canary.Namespace, Name: canary.Name, Reason: e.Reason, Text: e.Message, Phase: string(s.Phase),
				Severity: severity, Weight: s.Weight, At: now,
			})
		}
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "alert was not sent", "alert", a.Name, "reason", e.Reason)
		}
	}
}

func (r *Reconciler) alertProvider(ctx context.Context, key client.ObjectKey) (notify.Provider, error) {
	provider := &heddlev1alpha1.AlertProvider{}
	if err := r.Client.Get(ctx, key, provider); err != nil {
		return notify.Provider{}, fmt.Errorf("get AlertProvider %s: %w", key, err)
	}
	spec := provider.Spec
	out := notify.Provider{Type: spec.Type, Address: spec.Address, Channel: spec.Channel, Username: spec.Username}
	if spec.SecretRef == nil {
		return out, nil
	}
	secret, err := r.secret(ctx, key.Namespace, spec.SecretRef.Name)
	if err != nil {
		return out, err
	}
	if out.Address = string(secret["address"]); out.Address == "" {
		return out, errors.New("Secret " + key.Namespace + "/" + spec.SecretRef.Name + " has no key address")
	}
	return out, nil
}
