package shell

import "github.com/esasim/esasim/appliance/clock"

// SetHandshakeClock sets the clock that Limits.HandshakeTimeout runs on.
func (s *Server) SetHandshakeClock(c clock.Clock) { s.handshakeClock = c }
