package pcapfilter

// Endless reports whether the program would go on for ever with a frame: so does
// libpcap's then.
func (f *Filter) Endless(frame []byte, wireLen int) bool {
	_, endless := run(f.code, frame, uint32(wireLen))
	return endless
}
