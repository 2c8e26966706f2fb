package box

import (
	"cmp"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/metrics"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
	"github.com/esasim/esasim/appliance/promtext"
)

// A figures collects families of figures.
type figures struct{ list []promtext.Family }

// add adds a sample to the family of that name, which it makes at the first sample. labels are names
// and values.
func (f *figures) add(kind promtext.Kind, name, help string, value float64, labels ...string) {
	i := slices.IndexFunc(f.list, func(x promtext.Family) bool { return x.Name == name })
	if i < 0 {
		i = len(f.list)
		f.list = append(f.list, promtext.Family{Name: name, Help: help, Kind: kind})
	}
	s := promtext.Sample{Value: value}
	for n := 0; n+1 < len(labels); n += 2 {
		s.Labels = append(s.Labels, promtext.Label{Name: labels[n], Value: labels[n+1]})
	}
	f.list[i].Samples = append(f.list[i].Samples, s)
}

func (f *figures) gauge(name, help string, value float64, labels ...string) {
	f.add(promtext.Gauge, name, help, value, labels...)
}

func (f *figures) counter(name, help string, value float64, labels ...string) {
	f.add(promtext.Counter, name, help, value, labels...)
}

// WriteMetrics writes the figures of the box in the text format of Prometheus: those that the
// appliance itself shows, those of its network, of the simulated servers and faults, and of the
// process. Counters of mail are those of the appliance's lifetime; the others begin with each boot. If
// the appliance is not up, esasim_up is 0, and its figures are missing.
func (b *Box) WriteMetrics(w io.Writer) error {
	f := &figures{}
	_, err := b.Health()
	up := 0.0
	if err == nil {
		up = 1
		a := b.Appliance()
		f.addMail(a.Figures())
		f.addSystem(a)
		f.addLogs(a)
		if err := f.addNetwork(b); err != nil {
			return err
		}
		f.addSessions(b)
		f.addWorld(b)
	}
	f.gauge("esasim_up", "Whether the appliance is up and its services listen.", up)
	f.addFaults(b)
	f.counter("esasim_events_total", "Events that have happened.", float64(b.stream.Last()))
	f.addProcess()
	return promtext.Write(w, f.list)
}

// addMail adds what status and the XML status page show about mail.
func (f *figures) addMail(x appliance.Figures) {
	for _, c := range []struct {
		counter    metrics.Counter
		name, help string
	}{
		{metrics.InjectedMessages, "injected_messages", "Messages that were accepted."},
		{metrics.InjectedRecipients, "injected_recipients", "Recipients of messages that were accepted."},
		{metrics.InjectedBytes, "injected_bytes", "Bytes of messages that were accepted."},
		{metrics.GeneratedBounces, "generated_bounce_recipients", "Recipients of bounce messages that the appliance has made."},
		{metrics.RejectedRecipients, "rejected_recipients", "Recipients that were rejected."},
		{metrics.DroppedMessages, "dropped_messages", "Messages that were dropped."},
		{metrics.SoftBounces, "soft_bounces", "Attempts of recipients that failed and are made again."},
		{metrics.DeliveredRecipients, "delivered_recipients", "Recipients whose mail was delivered."},
		{metrics.DeletedRecipients, "deleted_recipients", "Recipients that an administrator has deleted."},
		{metrics.GlobalUnsubscribeHits, "global_unsubscribe_hits", "Recipients that the list of global unsubscriptions has."},
	} {
		f.counter("esasim_mail_"+c.name+"_total", c.help, float64(x.Counter(c.counter).Lifetime))
	}
	for _, c := range []struct {
		counter metrics.Counter
		reason  string
	}{
		{metrics.DNSHardBounces, "dns"}, {metrics.FiveXXHardBounces, "5xx"},
		{metrics.FilterHardBounces, "filter"}, {metrics.ExpiredHardBounces, "expired"},
		{metrics.OtherHardBounces, "other"},
	} {
		f.counter("esasim_mail_hard_bounced_recipients_total", "Recipients whose mail was bounced.",
			float64(x.Counter(c.counter).Lifetime), "reason", c.reason)
	}
	f.gauge("esasim_mail_queue_messages", "Messages in the queue.", float64(x.Queue.Messages))
	f.gauge("esasim_mail_work_queue_messages", "Messages in the work queue.", float64(x.WorkQueue))
	const recipients = "Recipients in the queue, by whether a delivery was attempted."
	f.gauge("esasim_mail_queue_recipients", recipients, float64(x.Queue.Unattempted), "attempted", "no")
	f.gauge("esasim_mail_queue_recipients", recipients, float64(x.Queue.Attempted), "attempted", "yes")
	f.gauge("esasim_mail_queue_used_bytes", "Size of the queue.", float64(x.Queue.BytesUsed))
	f.gauge("esasim_mail_queue_free_bytes", "Room in the queue.", float64(x.Queue.BytesFree))
	f.gauge("esasim_mail_queue_oldest_message_seconds",
		"Age of the oldest message in the queue, by the appliance's clock.", x.OldestAge.Seconds())
	f.gauge("esasim_mail_destinations", "Destinations in memory.", float64(x.Destinations))
	const connections = "Open connections of mail."
	f.gauge("esasim_mail_connections", connections, float64(x.ConnectionsIn), "direction", "in")
	f.gauge("esasim_mail_connections", connections, float64(x.ConnectionsOut), "direction", "out")
	f.gauge("esasim_mail_conservation", "Resource conservation: not 0 while no message is accepted.",
		float64(x.Conservation))
	f.gauge("esasim_uptime_seconds", "Time since the appliance came up, by its clock.", x.Uptime.Seconds())
	f.gauge("esasim_file_area_used_bytes", "Size of the appliance's files.", float64(x.LogBytes))
	f.gauge("esasim_file_area_free_bytes", "Room for the appliance's files.", float64(x.LogFree))
	f.counter("process_cpu_seconds_total", "CPU time that the process has used.", x.CPUTime.Seconds())
	f.gauge("process_resident_memory_bytes", "Memory that the process uses.", float64(x.Memory))
}

// addSystem adds figures of the DNS client, of captures and of the product.
func (f *figures) addSystem(a *appliance.Appliance) {
	p := a.Product
	f.gauge("esasim_info", "What is simulated. The value is always 1.", 1, "model", p.Model,
		"version", p.Version.String(), "serial", p.Serial, "hostname", a.Hostname())
	f.gauge("esasim_time_seconds", "Time of the appliance's clock, in seconds since 1970.",
		float64(a.Now().UnixMilli())/1000)
	dns := a.Resolver.Stats()
	for _, c := range []struct {
		name, help string
		value      uint64
	}{
		{"lookups", "Lookups by the appliance.", dns.Requests},
		{"queries", "DNS queries that the appliance has sent.", dns.Network},
		{"cache_hits", "Lookups that the cache has answered.", dns.Hits},
		{"cache_misses", "Lookups that the cache has not answered.", dns.Misses},
		{"failures", "Lookups that have failed.", dns.Exceptions},
		{"cache_expired", "Answers in the cache that were too old.", dns.Expired},
	} {
		f.counter("esasim_dns_"+c.name+"_total", c.help, float64(c.value))
	}
	for _, side := range []capture.Side{capture.CLI, capture.GUI} {
		s, running := a.Captures.Status(side), 0.0
		if s.Running {
			running = 1
		}
		f.gauge("esasim_capture_running", "Whether a packet capture runs, by the side that has started it.",
			running, "side", side.String())
		f.gauge("esasim_capture_packets", "Packets of the latest capture.", float64(s.Packets),
			"side", side.String())
		f.gauge("esasim_capture_bytes", "Size of the latest capture.", float64(s.Size), "side", side.String())
		f.gauge("esasim_capture_dropped_packets", "Packets that the latest capture has lost.",
			float64(s.Dropped), "side", side.String())
	}
}

// addLogs adds figures of the log subscriptions.
func (f *figures) addLogs(a *appliance.Appliance) {
	for _, s := range logs.Section.Get(a.Config.Committed()).List {
		f.counter("esasim_log_lost_lines_total", "Lines that the disk could not take.",
			float64(a.Logs.LostLines(s.Name)), "log", s.Name)
		x, ok := a.Logs.PushStats(s.Name)
		if !ok {
			continue
		}
		connected := 0.0
		if x.Connected != "" {
			connected = 1
		}
		f.gauge("esasim_log_push_connected", "Whether there is a connection to the syslog server.",
			connected, "log", s.Name)
		f.gauge("esasim_log_push_waiting_lines", "Lines that are still to be sent to the syslog server.",
			float64(x.Waiting), "log", s.Name)
		for _, c := range []struct {
			name, help string
			value      int
		}{
			{"sent_lines", "Lines that the syslog server has acknowledged.", x.Sent},
			{"lost_lines", "Lines in flight when a connection to the syslog server broke.", x.Lost},
			{"dropped_lines", "Lines for which there was no room in the queue.", x.Dropped},
			{"breaks", "Connections that the syslog server has closed.", x.Breaks},
			{"failures", "Connections to the syslog server that could not be opened, or fell silent.", x.Failures},
		} {
			f.counter("esasim_log_push_"+c.name+"_total", c.help, float64(c.value), "log", s.Name)
		}
	}
}

// addNetwork adds the counters of interfaces, and the numbers of sockets and neighbors.
func (f *figures) addNetwork(b *Box) error {
	t, err := b.Tables("")
	if err != nil {
		return err
	}
	for _, i := range t.Interfaces {
		for _, c := range []struct {
			name, help string
			value      uint64
		}{
			{"received_packets", "Packets that were received.", i.Counters.ReceivedPackets},
			{"received_bytes", "Bytes of frames that were received.", i.Counters.ReceivedBytes},
			{"received_errors", "Packets that were damaged on the way.", i.Counters.ReceivedErrors},
			{"received_dropped", "Packets that were received and dropped.", i.Counters.ReceivedDropped},
			{"sent_packets", "Packets that were sent.", i.Counters.SentPackets},
			{"sent_bytes", "Bytes of frames that were sent.", i.Counters.SentBytes},
			{"sent_errors", "Packets that could not be sent.", i.Counters.SentErrors},
			{"sent_dropped", "Packets that were dropped instead of being sent.", i.Counters.SentDropped},
		} {
			f.counter("esasim_interface_"+c.name+"_total", c.help, float64(c.value), "interface", i.Name)
		}
		up := 0.0
		if i.Up && i.Carrier {
			up = 1
		}
		f.gauge("esasim_interface_up", "Whether the interface is up and its cable plugged in.", up,
			"interface", i.Name)
	}
	type kind struct{ protocol, state string }
	sockets := map[kind]int{}
	for _, s := range t.Sockets {
		sockets[kind{s.Protocol, s.State}]++
	}
	kinds := slices.SortedFunc(maps.Keys(sockets), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.state, b.state))
	})
	for _, k := range kinds {
		f.gauge("esasim_sockets", "Sockets of the appliance.", float64(sockets[k]),
			"protocol", k.protocol, "state", k.state)
	}
	f.gauge("esasim_neighbors", "Entries of the ARP and NDP caches.", float64(len(t.Neighbors)))
	return nil
}

// addSessions adds the numbers of sessions and of addresses with failed logins.
func (f *figures) addSessions(b *Box) {
	open := map[string]int{}
	for _, s := range b.Sessions() {
		open[s.Service]++
	}
	for _, service := range []string{"cli", "ftp", "gui", "scp", "sftp"} {
		f.gauge("esasim_sessions", "Open sessions.", float64(open[service]), "service", service)
	}
	blocked, failing := 0, 0
	for _, a := range b.FailingAddresses() {
		if a.Blocked {
			blocked++
		} else {
			failing++
		}
	}
	const help = "Client addresses whose failed logins have an effect."
	f.gauge("esasim_failing_addresses", help, float64(blocked), "blocked", "yes")
	f.gauge("esasim_failing_addresses", help, float64(failing), "blocked", "no")
}

// addWorld adds figures of the simulated servers.
func (f *figures) addWorld(b *Box) {
	for _, s := range b.World().Servers() {
		running := 0.0
		if s.Running {
			running = 1
		}
		f.gauge("esasim_server_running", "Whether a simulated server runs.", running,
			"server", s.Name, "type", s.Type)
		if x, ok := b.World().Peer(s.Name).(*peers.MailExchanger); ok {
			_, received, _, _ := x.Contents()
			f.counter("esasim_server_received_messages_total",
				"Messages that a simulated mail server has received.", float64(received), "server", s.Name)
		}
	}
}

// addFaults adds what faults have hit. They outlast the appliance.
func (f *figures) addFaults(b *Box) {
	for _, x := range b.faults.List() {
		labels := []string{"fault", strconv.Itoa(x.ID), "name", x.Rule.Name, "action", x.Rule.Action}
		f.counter("esasim_fault_packets_total", "Packets that a fault has applied to.", float64(x.Packets),
			labels...)
		f.counter("esasim_fault_connections_total", "Connections that a fault has applied to.",
			float64(x.Connections), labels...)
	}
}

// addProcess adds the basic figures of the Go runtime, under the names that Prometheus uses.
func (f *figures) addProcess() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.gauge("go_info", "Information about the Go environment.", 1, "version", runtime.Version())
	f.gauge("go_goroutines", "Number of goroutines that currently exist.", float64(runtime.NumGoroutine()))
	f.gauge("go_memstats_alloc_bytes", "Number of bytes allocated in heap and currently in use.",
		float64(m.Alloc))
	f.counter("go_memstats_alloc_bytes_total",
		"Total number of bytes allocated in heap until now, even if released already.", float64(m.TotalAlloc))
	f.gauge("go_memstats_sys_bytes", "Number of bytes obtained from system.", float64(m.Sys))
	f.gauge("go_memstats_heap_inuse_bytes", "Number of heap bytes that are in use.", float64(m.HeapInuse))
	f.gauge("go_memstats_heap_objects", "Number of currently allocated objects.", float64(m.HeapObjects))
	f.counter("go_gc_cycles_total", "Completed garbage collections.", float64(m.NumGC))
}
