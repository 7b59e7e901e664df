package metrics

import (
	"strings"
	"testing"
	"time"
)

var rendered = Values{
	Namespace: "shop", Name: "release", Target: "cart", Primary: "cart-primary", Service: "web", Interval: 90 * time.Second,
	Variables: map[string]string{"quantile": "0.9"},
}

func TestRender(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ query, want, wantErr string }{
		"fills in names":           {query: `a{ns="{{ namespace }}",d=~"{{target}}|{{ primary }}",s="{{service}}",c="{{name}}"}[{{ interval }}]`, want: `a{ns="shop",d=~"cart|cart-primary",s="web",c="release"}[90000ms]`},
		"fills in variables":       {query: `histogram_quantile({{ variables.quantile }}, x)`, want: `histogram_quantile(0.9, x)`},
		"leaves braces of PromQL":  {query: `a{b="c"}`, want: `a{b="c"}`},
		"refuses a missing one":    {query: `{{ variables.nope }}`, wantErr: "nope"},
		"refuses an unknown name":  {query: `{{ ingress }}`, wantErr: "ingress"},
		"refuses to loop":          {query: `{{ range 1000000000 }}{{ end }}`, wantErr: "only name values"},
		"refuses to choose":        {query: `{{ if name }}a{{ end }}`, wantErr: "only name values"},
		"refuses to print":         {query: `{{ printf "%1000000000d" 1 }}`, wantErr: "what can be named"},
		"refuses a pipe":           {query: `{{ name | len }}`, wantErr: "what can be named"},
		"refuses all variables":    {query: `{{ variables }}`, wantErr: "what can be named"},
		"refuses definitions":      {query: `{{ define "x" }}{{ end }}a`, wantErr: "defines templates"},
		"refuses what is unclosed": {query: `{{ name`, wantErr: "query:"},
		"refuses what grows":       {query: strings.Repeat(`{{ variables.quantile }}`, 6000), wantErr: "longer than"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Render(tc.query, rendered)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error = %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

// FuzzRender: whatever the template, it ends, and soon.
func FuzzRender(f *testing.F) {
	for _, s := range []string{`a{{ name }}`, `{{ variables.quantile }}`, `{{ range 9 }}{{ end }}`, `{{/* c */}}`, `{{- name -}}`, `{{ (name) }}`, `{{ template "query" }}`, `{{ block "a" . }}{{ end }}`, `{{ break }}`, ``} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		start := time.Now()
		got, err := Render(query, rendered)
		if err == nil && len(got) > longestQuery {
			t.Errorf("%d bytes", len(got))
		}
		if time.Since(start) > 5*time.Second {
			t.Errorf("it took %s", time.Since(start))
		}
	})
}
