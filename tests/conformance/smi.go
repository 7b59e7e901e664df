package main

import "fmt"

// The suites, step by step as SMI's own have them.

func access(version string) suite {
	specs := specsBeside(version)
	const url = "http://app-b/echo"
	return suite{"Traffic Access", "access.smi-spec.io/" + version, []step{
		served("TrafficTarget", "access.smi-spec.io/"+version),
		deployed("Deny"),
		seen("by default app-a may not call app-b", to{"403", []string{url}}),
		applied("a TrafficTarget allows app-a to call app-b", tcpRoute(specs)+target(version, "TCPRoute")),
		seen("app-a calls app-b, and only app-b", to{"200", []string{url}}, to{"403", []string{"http://app-c/echo"}}),
		deleted("the TrafficTarget is deleted", "traffictarget/app-b", "tcproute/app-b"),
		seen("app-a may not call app-b", to{"403", []string{url}}),
	}}
}

func specs(version string) suite {
	access := map[string]string{"v1alpha1": "v1alpha1", "v1alpha4": "v1alpha3"}[version]
	metrics, echo := "http://app-b/metrics", "http://app-b/echo"
	return suite{"Traffic Specs", "specs.smi-spec.io/" + version, []step{
		served("HTTPRouteGroup", "specs.smi-spec.io/"+version),
		deployed("Deny"),
		applied("an HTTPRouteGroup describes /metrics, by any method", group(version, "/metrics", "*")+target(access, "HTTPRouteGroup")),
		seen("app-a reaches /metrics and nothing else of app-b",
			to{"200", []string{metrics}}, to{"200", []string{"-method", "POST", metrics}}, to{"403", []string{echo}}),
		applied("the HTTPRouteGroup describes every path, by GET", group(version, ".*", "GET")),
		seen("app-a reaches every path of app-b, by GET and no other method",
			to{"200", []string{echo}}, to{"200", []string{metrics}}, to{"403", []string{"-method", "POST", echo}}),
	}}
}

func split(version string) suite {
	share := func(b, c string) string { return trafficSplit(version, b, c) }
	hundred, most, least := "100", "75", "25"
	if version == "v1alpha1" { // weights are quantities
		hundred, most, least = `"1"`, "750m", "250m"
	}
	return suite{"Traffic Split", "split.smi-spec.io/" + version, []step{
		served("TrafficSplit", "split.smi-spec.io/"+version),
		deployed(""),
		distributed("without a split app-b and app-c both answer", both, both),
		applied("a TrafficSplit gives app-b everything", share(hundred, "0")),
		shared("app-b gets everything", 1),
		applied("the TrafficSplit gives app-c everything", share("0", hundred)),
		shared("app-c gets everything", 0),
		applied("the TrafficSplit gives app-b 75 %, app-c 25 %", share(most, least)),
		shared("app-b gets 75 %, app-c 25 %", 0.75),
		applied("the TrafficSplit gives app-b 25 %, app-c 75 %", share(least, most)),
		shared("app-b gets 25 %, app-c 75 %", 0.25),
	}}
}

func both(a answers) bool { return a.share("app-b") > 0.1 && a.share("app-c") > 0.1 }

// specsBeside is the version of the specs that came with one of access.
func specsBeside(access string) string {
	return map[string]string{"v1alpha1": "v1alpha1", "v1alpha3": "v1alpha4"}[access]
}

func target(version, rule string) string {
	text := `---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: app-b}
spec:
  destination: {kind: ServiceAccount, name: app-b}
  sources: [{kind: ServiceAccount, name: app-a}]
  rules: [{kind: %s, name: app-b}]
`
	if version == "v1alpha1" {
		text = `---
apiVersion: access.smi-spec.io/v1alpha1
kind: TrafficTarget
metadata: {name: app-b}
destination: {kind: ServiceAccount, name: app-b, port: 8080}
sources: [{kind: ServiceAccount, name: app-a}]
specs: [{kind: %s, name: app-b}]
`
	}
	return fmt.Sprintf(text, rule)
}

func tcpRoute(version string) string {
	text := "---\napiVersion: specs.smi-spec.io/" + version + "\nkind: TCPRoute\nmetadata: {name: app-b}\n"
	if version == "v1alpha1" { // has no ports: the target's destination has one
		return text
	}
	return text + "spec: {matches: {ports: [8080]}}\n"
}

func group(version, path, method string) string {
	text := `---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: app-b}
spec: {matches: [{name: allowed, pathRegex: %q, methods: [%q]}]}
`
	if version == "v1alpha1" {
		text = `---
apiVersion: specs.smi-spec.io/v1alpha1
kind: HTTPRouteGroup
metadata: {name: app-b}
matches: [{name: allowed, pathRegex: %q, methods: [%q]}]
`
	}
	return fmt.Sprintf(text, path, method)
}

func trafficSplit(version, b, c string) string {
	return fmt.Sprintf(`---
apiVersion: split.smi-spec.io/%s
kind: TrafficSplit
metadata: {name: app-svc}
spec: {service: app-svc, backends: [{service: app-b, weight: %s}, {service: app-c, weight: %s}]}
`, version, b, c)
}
