package metrics

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// longestQuery is how long a query may get.
const longestQuery = 16 << 10

// Values are what a query's template can name.
type Values struct {
	Namespace, Name, Target, Primary, Service string
	Interval                                  time.Duration
	Variables                                 map[string]string
}

// Render fills in a query. A template can name values and do nothing else:
// neither loop nor call.
func Render(query string, v Values) (string, error) {
	text := func(s string) func() string { return func() string { return s } }
	functions := template.FuncMap{
		"namespace": text(v.Namespace), "name": text(v.Name), "target": text(v.Target), "primary": text(v.Primary),
		"service": text(v.Service), "interval": text(fmt.Sprintf("%dms", v.Interval.Milliseconds())),
		"variables": func() map[string]string { return v.Variables },
	}
	t, err := template.New("query").Option("missingkey=error").Funcs(functions).Parse(query)
	if err != nil {
		return "", fmt.Errorf("query: %w", err)
	}
	if len(t.Templates()) > 1 {
		return "", errors.New("query: it defines templates; it may only name values")
	}
	if t.Tree == nil {
		return "", errors.New("query: it is empty")
	}
	for _, node := range t.Root.Nodes {
		if err := plain(node, functions); err != nil {
			return "", fmt.Errorf("query: %w", err)
		}
	}
	var out strings.Builder
	if err := t.Execute(&out, nil); err != nil {
		return "", fmt.Errorf("query: %w", err)
	}
	if out.Len() > longestQuery {
		return "", fmt.Errorf("query: it gets longer than %d bytes", longestQuery)
	}
	return out.String(), nil
}

// plain is whether a node is text or names a single value.
func plain(node parse.Node, known template.FuncMap) error {
	action, ok := node.(*parse.ActionNode)
	if !ok {
		if node.Type() == parse.NodeText {
			return nil
		}
		return fmt.Errorf("%s: it may only name values", node)
	}
	if len(action.Pipe.Decl) == 0 && len(action.Pipe.Cmds) == 1 && len(action.Pipe.Cmds[0].Args) == 1 {
		name := action.Pipe.Cmds[0].Args[0]
		if chain, ok := name.(*parse.ChainNode); ok && len(chain.Field) == 1 && chain.Node.String() == "variables" {
			return nil
		}
		if word := name.String(); name.Type() == parse.NodeIdentifier && word != "variables" && known[word] != nil {
			return nil
		}
	}
	return fmt.Errorf("%s: what can be named is namespace, name, target, primary, service, interval and variables.NAME", node)
}
