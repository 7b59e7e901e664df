// Package canary holds progressive delivery: engine decides, analysis judges,
// metrics asks Prometheus, traffic writes TrafficSplits, workload copies and
// scales, and controller joins them.
package canary
