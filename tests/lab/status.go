package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// component is one thing that has to be there.
type component struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// State is a word for people.
	State string `json:"state"`
	// PID and Log are those of a process.
	PID int    `json:"pid,omitempty"`
	Log string `json:"log,omitempty"`
}

func status(ctx context.Context, l *lab, args []string) error {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	format := flags.String("o", "", "output format: json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *format != "" && *format != "json" {
		return fmt.Errorf("-o %s: only json is known", *format)
	}
	components, missing := l.components(ctx), 0
	for _, c := range components {
		if !c.OK {
			missing++
		}
	}
	if *format == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"kubeconfig": l.kubeconfig(), "components": components}); err != nil {
			return err
		}
	} else {
		table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "COMPONENT\tSTATE\tPID\tLOG")
		for _, c := range components {
			pid := ""
			if c.PID != 0 {
				pid = fmt.Sprint(c.PID)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Name, c.State, pid, c.Log)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d components are not there; start them with: make lab-up", missing, len(components))
	}
	if *format == "" {
		fmt.Printf("\nexport KUBECONFIG=%s\n", l.kubeconfig())
	}
	return nil
}

// components are the processes and then what Kubernetes itself has to say.
func (l *lab) components(ctx context.Context) []component {
	var out []component
	api := false
	for _, p := range l.processes() {
		pid, ok := l.running(p)
		c := component{Name: p.name, OK: ok, State: "stopped", Log: l.logFile(p.name)}
		if ok {
			c.State, c.PID = "running", pid
		}
		api = api || ok && p.name == "kube-apiserver"
		out = append(out, c)
	}
	for _, asked := range []struct {
		name, condition string
		args            []string
	}{
		{"node", "Ready", []string{"get", "node/node1"}},
		{"CoreDNS", "Available", []string{"-n", "kube-system", "get", "deployment/coredns"}},
	} {
		c := component{Name: asked.name, State: "not " + asked.condition}
		if api {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			state, err := output(ctx, l.kubernetes("kubectl"), append([]string{
				"--kubeconfig", l.kubeconfig(), "-o",
				`jsonpath={.status.conditions[?(@.type=="` + asked.condition + `")].status}`,
			}, asked.args...)...)
			cancel()
			if err == nil && state == "True" {
				c.OK, c.State = true, asked.condition
			}
		}
		out = append(out, c)
	}
	return out
}
