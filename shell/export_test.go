package shell

import "github.com/esasim/esasim/appliance/clock"

// SetConnClock sets the clock that Limits.HandshakeTimeout and Limits.KeepaliveInterval run on.
func (s *Server) SetConnClock(c clock.Clock) { s.connClock = c }

// FailureText is failureText.
func FailureText(err error, clientVersion []byte) string { return failureText(err, clientVersion) }
