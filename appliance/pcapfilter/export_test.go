package pcapfilter

// Endless reports whether the program would never end for a frame, as in libpcap.
func (f *Filter) Endless(frame []byte, wireLen int) bool {
	_, endless := run(f.code, frame, uint32(wireLen))
	return endless
}
