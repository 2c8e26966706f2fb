package vnet_test

import (
	"errors"
	"io"
	"testing"

	"github.com/esasim/esasim/appliance/network/netsim/vnet"
)

func TestWatch(t *testing.T) {
	p := newPair(t, false)
	c, s := p.connect(t, p.a, p.b, addrB)
	w := s.(vnet.Watchable)
	calls := make(chan bool, 1)
	if _, err := c.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	w.Watch(func() {
		select {
		case calls <- true:
		default:
		}
	})
	// read reads until there is something else to return than ErrWouldBlock.
	read := func() (string, error) {
		buf := make([]byte, 100)
		for {
			if n, err := w.TryRead(buf); !errors.Is(err, vnet.ErrWouldBlock) {
				return string(buf[:n]), err
			}
			<-calls
		}
	}
	if got, err := read(); got != "early" || err != nil {
		t.Errorf("reading returns %q, %v", got, err)
	}
	if _, err := c.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); got != "late" || err != nil {
		t.Errorf("reading returns %q, %v", got, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); got != "" || err != io.EOF {
		t.Errorf("at the end, reading returns %q, %v", got, err)
	}
	for len(calls) > 0 {
		<-calls
	}
	s.Close()
	<-calls // about the close
}
