package uplink

// Deliver gives the world that is attached what a link has received: the message, after the header
// that says what is missing in it. What a link cannot receive is dropped.
func (u *Uplink) Deliver(message []byte) {
	if a := u.attached.Load(); a != nil && len(message) >= offloadLen {
		u.deliver(a, frame{bytes: message[offloadLen:], offload: parseOffload(message)})
	}
}
