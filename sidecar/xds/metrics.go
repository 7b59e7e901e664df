package xds

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connected prometheus.Gauge
	pushes    *prometheus.CounterVec
	sent      *prometheus.CounterVec
	rejected  *prometheus.CounterVec
	stalled   prometheus.Counter
	latency   prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "heddle_xds_connected_proxies", Help: "Proxies with an open stream.",
		}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_pushes_total", Help: "Responses sent, by type.",
		}, []string{"type"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_resources_sent_total", Help: "Resources sent or removed, by type.",
		}, []string{"type"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heddle_xds_resources_rejected_total", Help: "Resources that a proxy refused, by type.",
		}, []string{"type"}),
		stalled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heddle_xds_streams_stalled_total", Help: "Streams cut off because the proxy did not read.",
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heddle_xds_publish_to_send_seconds", Help: "From a publication to the response that carries it, per response.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
	}
}

func (m *metrics) register(to prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.connected, m.latency, m.pushes, m.sent, m.rejected, m.stalled} {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("register xds metrics: %w", err)
		}
	}
	return nil
}
