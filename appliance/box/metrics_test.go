package box_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
	"github.com/esasim/esasim/appliance/traffic"
)

// metricsOf returns the figures of a box as Prometheus reads them.
func metricsOf(t *testing.T, b *box.Box) map[string]*dto.MetricFamily {
	t.Helper()
	var text bytes.Buffer
	if err := b.WriteMetrics(&text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(&text).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	return found
}

// value returns the value of the sample whose labels have the given values.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var values []string
		for _, l := range m.GetLabel() {
			values = append(values, l.GetValue())
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(values, l) }) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s%q", name, labels)
	return 0
}

// The figures are those that the appliance and its world have, and Prometheus understands them.
func TestMetrics(t *testing.T) {
	b := newBox(t, t.TempDir(), loopback)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	if _, err := b.Faults().Add(topology.Rule{Action: "drop", Path: "google", Name: `a "quoted" name`}); err != nil {
		t.Fatal(err)
	}
	if err := b.World().StopServer("server/echo"); err != nil {
		t.Fatal(err)
	}
	if a, err := b.SendMail(t.Context(), traffic.Request{To: []string{"joe@example.com"}}); err != nil || !a.Complete {
		t.Fatalf("%+v, %v", a, err)
	}
	m := metricsOf(t, b)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"esasim_up", nil, 1},
		{"esasim_info", []string{"C100V", "example.com"}, 1},
		{"esasim_mail_injected_messages_total", nil, 1},
		{"esasim_mail_injected_recipients_total", nil, 1},
		{"esasim_server_running", []string{"server/echo"}, 0},
		{"esasim_server_running", []string{"mail/mx"}, 1},
		{"esasim_fault_packets_total", []string{`a "quoted" name`}, 0},
		{"esasim_sessions", []string{"cli"}, 0},
		{"esasim_failing_addresses", []string{"yes"}, 0},
		{"esasim_capture_running", []string{"CLI"}, 0},
		{"esasim_log_lost_lines_total", []string{"mail_logs"}, 0},
	} {
		if got := value(t, m, c.name, c.labels...); got != c.want {
			t.Errorf("%s%q is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	figures := b.Appliance().Figures()
	if got := figures.Counter(metrics.InjectedBytes).Lifetime; float64(got) != value(t, m, "esasim_mail_injected_bytes_total") {
		t.Errorf("%d bytes were injected", got)
	}
	for _, name := range []string{"go_goroutines", "go_memstats_alloc_bytes", "esasim_time_seconds", "esasim_events_total", "esasim_sockets"} {
		if value(t, m, name) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if value(t, m, "esasim_interface_received_bytes_total", "Data 1") < 60 {
		t.Error("no bytes were received")
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m = metricsOf(t, b)
	if value(t, m, "esasim_up") != 0 || m["esasim_sessions"] != nil {
		t.Errorf("after the end: %v", m)
	}
}
