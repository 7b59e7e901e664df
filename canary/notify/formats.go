package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

type object = map[string]any

// formats are what each service takes.
var formats = map[string]func(Provider, Message) object{
	"slack": slack, "rocket": slack, "discord": discord, "msteams": teams, "gchat": chat, "generic": generic,
}

// Render writes a message in the service's format.
func Render(p Provider, m Message) ([]byte, error) {
	format, ok := formats[p.Type]
	if !ok {
		return nil, fmt.Errorf("there is no alert provider of type %q", p.Type)
	}
	body, err := json.Marshal(format(p, m))
	if err != nil {
		return nil, fmt.Errorf("render for %s: %w", p.Type, err)
	}
	return body, nil
}

func (m Message) title() string { return fmt.Sprintf("%s/%s: %s", m.Namespace, m.Name, m.Reason) }

func (m Message) traffic() string { return fmt.Sprintf("%d %%", m.Weight) }

// slackEscapes keep text from being read as a link or as the name of a group.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slack(p Provider, m Message) object {
	out := object{"text": slackEscapes.Replace(m.title()), "attachments": []object{{
		"color": [...]string{"good", "warning", "danger"}[m.Severity], "text": slackEscapes.Replace(m.Text), "ts": m.At.Unix(),
		"fields": []object{{"title": "Phase", "value": m.Phase, "short": true}, {"title": "Traffic", "value": m.traffic(), "short": true}},
	}}}
	named(out, "channel", p.Channel)
	named(out, "username", p.Username)
	return out
}

func discord(p Provider, m Message) object {
	out := object{"allowed_mentions": object{"parse": []string{}}, "embeds": []object{{
		"title": m.title(), "description": m.Text, "color": [...]int{0x2eb886, 0xdaa038, 0xa30200}[m.Severity], "timestamp": m.At.UTC().Format(time.RFC3339),
		"fields": []object{{"name": "Phase", "value": m.Phase, "inline": true}, {"name": "Traffic", "value": m.traffic(), "inline": true}},
	}}}
	named(out, "username", p.Username)
	return out
}

// teams is an Adaptive Card, as workflows take it.
func teams(_ Provider, m Message) object {
	return object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": object{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
			"body": []object{
				{"type": "TextBlock", "weight": "bolder", "wrap": true, "text": m.title(), "color": [...]string{"good", "warning", "attention"}[m.Severity]},
				{"type": "TextBlock", "wrap": true, "text": m.Text},
				{"type": "FactSet", "facts": []object{{"title": "Phase", "value": m.Phase}, {"title": "Traffic", "value": m.traffic()}}},
			},
		},
	}}}
}

func chat(_ Provider, m Message) object {
	text := func(s string) object { return object{"textParagraph": object{"text": slackEscapes.Replace(s)}} }
	return object{"cardsV2": []object{{"cardId": "heddle", "card": object{
		"header":   object{"title": m.title(), "subtitle": m.Severity.String()},
		"sections": []object{{"widgets": []object{text(m.Text), text("Phase " + m.Phase + ", traffic " + m.traffic())}}},
	}}}}
}

func generic(_ Provider, m Message) object {
	return object{
		"namespace": m.Namespace, "name": m.Name, "severity": m.Severity.String(), "reason": m.Reason, "message": m.Text,
		"phase": m.Phase, "weight": m.Weight, "time": m.At.UTC().Format(time.RFC3339),
	}
}

func named(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}
