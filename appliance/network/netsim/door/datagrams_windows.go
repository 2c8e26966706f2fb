package door

// receiveOutside waits for a datagram of the real host and returns it in a borrowed buffer.
func (f *flow) receiveOutside(s *flows) (buf *[maxDatagram]byte, n int, err error) {
	buf = s.buffer()
	if n, err = f.outside.Read(buf[:]); err != nil {
		s.buffers.Put(buf)
		return nil, 0, err
	}
	return buf, n, nil
}
