package controller

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-mesh/heddle/canary/engine"
	"github.com/heddle-mesh/heddle/canary/gate"
	heddlev1alpha1 "github.com/heddle-mesh/heddle/crds/heddle/v1alpha1"
)

// Asker calls hooks.
type Asker interface {
	// Call returns nil for a yes.
	Call(ctx context.Context, h gate.Hook, p gate.Payload) error
}

// ask calls all hooks of the kinds, all at once. Those that confirm must all say
// yes; one that wants a rollback is enough.
func (r *Reconciler) ask(ctx context.Context, canary *heddlev1alpha1.Canary, kinds []engine.Hook, revision string) map[engine.Hook]engine.Answer {
	if len(kinds) == 0 {
		return nil
	}
	hooks := canary.Spec.Analysis.Hooks
	nos := make([]error, len(hooks))
	var all sync.WaitGroup
	for i, h := range hooks {
		for _, kind := range kinds {
			if engine.Hook(h.Type) == kind {
				all.Go(func() { nos[i] = r.Hooks.Call(ctx, hookOf(h), payload(canary, revision, h.Metadata)) })
			}
		}
	}
	all.Wait()
	answers := map[engine.Hook]engine.Answer{}
	for _, kind := range kinds {
		answer := engine.Answer{Yes: kind != engine.Rollback}
		var words []string
		for i, h := range hooks {
			switch {
			case engine.Hook(h.Type) != kind:
			case kind == engine.Rollback && nos[i] == nil:
				answer.Yes = true
				words = append(words, fmt.Sprintf("hook %s asks for a rollback", h.Name))
			case kind != engine.Rollback && nos[i] != nil:
				answer.Yes = false
				words = append(words, nos[i].Error())
			}
		}
		answer.Words = strings.Join(words, "; ")
		answers[kind] = answer
	}
	return answers
}

// announce calls the hooks that nothing depends on: those of the kinds that the
// actions name, and for each Event those that want to hear of it. It tells
// people of the Event, too.
func (r *Reconciler) announce(ctx context.Context, canary *heddlev1alpha1.Canary, next engine.State, actions []engine.Action, now time.Time) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, action := range actions {
		if e, ok := action.(engine.Emit); ok {
			all.Go(func() { r.alert(ctx, canary, next, e, now) })
		}
		for _, h := range canary.Spec.Analysis.Hooks {
			metadata := h.Metadata
			switch a := action.(type) {
			case engine.RunHooks:
				if engine.Hook(h.Type) != a.Hook {
					continue
				}
			case engine.Emit:
				if h.Type != heddlev1alpha1.HookEvent {
					continue
				}
				metadata = maps.Clone(metadata)
				if metadata == nil {
					metadata = map[string]string{}
				}
				metadata["eventMessage"], metadata["eventType"] = a.Message, eventType(a)
				metadata["timestamp"] = strconv.FormatInt(now.UnixMilli(), 10)
			default:
				continue
			}
			all.Go(func() { _ = r.Hooks.Call(ctx, hookOf(h), payload(canary, next.Revision, metadata)) })
		}
	}
}

func eventType(e engine.Emit) string {
	if e.Warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

func hookOf(h heddlev1alpha1.CanaryHook) gate.Hook {
	return gate.Hook{Name: h.Name, URL: h.URL, Timeout: or(h.Timeout.Duration, 10*time.Second), Retries: int(h.Retries), InsecureSkipVerify: h.InsecureSkipVerify}
}

// flaggerPhases are the phases that Flagger has another word for.
var flaggerPhases = map[heddlev1alpha1.CanaryPhase]string{
	"": "Initializing", "Idle": "Initialized", "Finalizing": "Finalising", "RollingBack": "Failed", "Aborted": "Failed",
}

func payload(canary *heddlev1alpha1.Canary, revision string, metadata map[string]string) gate.Payload {
	phase, ok := flaggerPhases[canary.Status.Phase]
	switch {
	case canary.Status.Awaits == heddlev1alpha1.CanaryHookType(engine.ConfirmPromotion):
		phase = "WaitingPromotion"
	case !ok:
		phase = string(canary.Status.Phase)
	}
	return gate.Payload{Name: canary.Name, Namespace: canary.Namespace, Phase: phase, Checksum: revision, Metadata: metadata}
}
