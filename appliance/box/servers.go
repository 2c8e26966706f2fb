package box

import (
	"context"
	"fmt"

	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// A SimulatedServer is what the handles of all simulated servers have in common. A handle stays
// valid over reboots and resets, but what the server has received is lost then. Methods are safe for
// concurrent use; the box must have been started.
type SimulatedServer struct {
	box           *Box
	name, service string
}

// newServer returns the handle of the server that has a role and that name.
func (b *Box) newServer(r netsim.Role, name string) (SimulatedServer, error) {
	service, err := r.Service(b.o.Topology, name)
	return SimulatedServer{b, name, service}, err
}

// Name returns the name with which the server was looked up.
func (s SimulatedServer) Name() string { return s.name }

// Stop stops the server as if its machine had crashed: established connections are cut and new ones
// are refused, until Start, over reboots too. If it is stopped, Stop does nothing. The error is
// netsim.ErrStopped if the box does not run.
func (s SimulatedServer) Stop() error { return s.box.World().StopServer(s.service) }

// Start starts the server after Stop. If it runs, Start does nothing.
func (s SimulatedServer) Start(ctx context.Context) error {
	return s.box.World().StartServer(ctx, s.service)
}

// An intake reads what the server of a world has received after a cursor. The cursor of a new
// server is 0. changed is closed when something else arrives.
type intake[T any] func(w *netsim.World, cursor int) (
	list []T, next, total int, changed <-chan struct{})

// await waits until what the current server has received satisfies enough, and goes on with the next
// server after a reboot. enough is called with what has arrived since the last call and with the
// number of all. A reset ends the wait with ErrReset. what is for the error.
func await[T any](ctx context.Context, s SimulatedServer, what string, after intake[T],
	enough func(list []T, total int) bool) error {
	ctx, cancel := s.box.untilReset(ctx)
	defer cancel()
	for {
		if err := s.box.WaitSettled(ctx); err != nil {
			return err
		}
		i := s.box.current()
		cursor := 0
		for running := true; running; {
			running = i.ctx.Err() == nil
			list, next, total, changed := after(i.world, cursor)
			if cursor = next; enough(list, total) {
				return nil
			}
			select {
			case <-changed:
			case <-i.ctx.Done():
			case <-ctx.Done():
				return fmt.Errorf("none of the %d %s %s matches: %w",
					total, what, s.name, context.Cause(ctx))
			}
		}
		if !s.box.comesBack(ctx, i) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return netsim.ErrStopped
		}
	}
}

// A SyslogServer is a simulated syslog server of a box.
type SyslogServer struct{ SimulatedServer }

// Syslog returns the syslog server of that name: the name of its host if the host has one syslog
// server, and otherwise that of the service, HOST/TYPE. If there is none, the error is a
// *netsim.NotFoundError that lists the names, and says what the name means if it means something.
func (b *Box) Syslog(server string) (*SyslogServer, error) {
	s, err := b.newServer(netsim.SyslogRole, server)
	return &SyslogServer{s}, err
}

func (s *SyslogServer) server(w *netsim.World) *peers.SyslogServer {
	return w.Peer(s.service).(*peers.SyslogServer)
}

func (s *SyslogServer) after(w *netsim.World, cursor int) (
	list []string, next, total int, changed <-chan struct{}) {
	list, total, changed = s.server(w).After(cursor)
	return list, total, total, changed
}

// Records returns the latest records without line ends, in the order of their arrival: at most
// 20000, with at most 8 MiB.
func (s *SyslogServer) Records() []string { return s.server(s.box.World()).Records() }

// Total returns the number of all records that have arrived.
func (s *SyslogServer) Total() int { return s.server(s.box.World()).Total() }

// Connections returns the latest 200 TCP connections, the oldest first.
func (s *SyslogServer) Connections() []peers.SyslogConnection {
	return s.server(s.box.World()).Connections()
}

// Wait blocks until a record arrives for which match returns true, and returns the first such
// record; it may have arrived already. A nil match accepts every record. Wait continues while the
// appliance reboots. If ctx ends first, the error wraps its cause and says how many records there
// were. A reset ends it with ErrReset.
func (s *SyslogServer) Wait(ctx context.Context, match func(record string) bool) (
	found string, err error) {
	err = await(ctx, s.SimulatedServer, "records that have arrived at the syslog server", s.after,
		func(list []string, _ int) bool { return first(list, match, &found) })
	return found, err
}

// Await blocks until n records have arrived, and returns Records. It is like Wait in everything else.
func (s *SyslogServer) Await(ctx context.Context, n int) ([]string, error) {
	err := await(ctx, s.SimulatedServer, "records that have arrived at the syslog server", s.after,
		func(_ []string, total int) bool { return total >= n })
	return s.Records(), err
}

// A DNSServer is a simulated DNS server of a box.
type DNSServer struct{ SimulatedServer }

// DNS returns the DNS server of that name, which is as that of Syslog, and so is the error.
func (b *Box) DNS(server string) (*DNSServer, error) {
	s, err := b.newServer(netsim.DNSRole, server)
	return &DNSServer{s}, err
}

// Queries returns the latest 1000 queries, the oldest first.
func (s *DNSServer) Queries() []peers.DNSQuery {
	list, _, _, _ := s.after(s.box.World(), 0)
	return list
}

func (s *DNSServer) after(w *netsim.World, cursor int) (
	list []peers.DNSQuery, next, total int, changed <-chan struct{}) {
	list, total, changed = w.Peer(s.service).(*peers.DNSServer).After(cursor)
	return list, total, total, changed
}

// Wait blocks until the server answers a query for which match returns true, and returns the first
// such query. It is like SyslogServer.Wait in everything else.
func (s *DNSServer) Wait(ctx context.Context, match func(peers.DNSQuery) bool) (
	found peers.DNSQuery, err error) {
	err = await(ctx, s.SimulatedServer, "queries that have arrived at the DNS server", s.after,
		func(list []peers.DNSQuery, _ int) bool { return first(list, match, &found) })
	return found, err
}

// first stores the first element of list that match accepts, and reports whether there is one.
func first[T any](list []T, match func(T) bool, found *T) bool {
	for _, x := range list {
		if match == nil || match(x) {
			*found = x
			return true
		}
	}
	return false
}

// An NTPServer is a simulated NTP server of a box.
type NTPServer struct{ SimulatedServer }

// NTP returns the NTP server of that name, which is as that of Syslog, and so is the error.
func (b *Box) NTP(server string) (*NTPServer, error) {
	s, err := b.newServer(netsim.NTPRole, server)
	return &NTPServer{s}, err
}

// Queries returns the number of queries that were answered.
func (s *NTPServer) Queries() int {
	return s.box.World().Peer(s.service).(*peers.NTPServer).Queries()
}

// An UploadServer is a simulated server of a box that receives files by FTP or SCP.
type UploadServer struct{ SimulatedServer }

// Uploads returns the server for uploads of that name, which is as that of Syslog, and so is the
// error.
func (b *Box) Uploads(server string) (*UploadServer, error) {
	s, err := b.newServer(netsim.UploadRole, server)
	return &UploadServer{s}, err
}

func (s *UploadServer) server() peers.UploadServer {
	return s.box.World().Peer(s.service).(peers.UploadServer)
}

// Files returns the latest files in the order of their arrival: at most 500, with at most 16 MiB.
// Files whose transfer broke off are included.
func (s *UploadServer) Files() []peers.Upload { return s.server().Uploads() }

// Await blocks until n whole files have arrived, and returns Files. A reboot of the appliance makes
// another server, for which Await does not wait.
func (s *UploadServer) Await(ctx context.Context, n int) ([]peers.Upload, error) {
	ctx, cancel := s.box.untilReset(ctx)
	defer cancel()
	return s.server().Await(ctx, n)
}
