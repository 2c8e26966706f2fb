//go:build unix

package door

import (
	"bytes"
	"io"
	"testing"
)

func TestReaderHoldsABufferOnlyWhileThereIsData(t *testing.T) {
	outside, client := socketPair(t)
	r := new(splicer).newReader(outside)
	attempt := func() (done bool) {
		if err := r.raw.Control(func(fd uintptr) { done = r.attempt(fd) }); err != nil {
			t.Fatal(err)
		}
		return done
	}
	if attempt() || r.buf != nil {
		t.Error("there is no data: expected no buffer")
	}
	sent := bytes.Repeat([]byte("0123456789"), busyBuffer/4)
	go func() {
		client.Write(sent)
		client.CloseWrite()
	}()
	var got []byte
	for {
		data, err := r.next()
		got = append(got, data...)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes were read, %d were sent", len(got), len(sent))
	}
	if r.release(); r.buf != nil {
		t.Error("the buffer has not been returned")
	}
}

func TestReaderReportsAReset(t *testing.T) {
	outside, client := socketPair(t)
	abort(client)
	if _, err := new(splicer).newReader(outside).next(); err == nil || err == io.EOF {
		t.Errorf("next() after a reset: %v", err)
	}
}

func TestReaderEndsWithItsConnection(t *testing.T) {
	outside, _ := socketPair(t)
	r := new(splicer).newReader(outside)
	go outside.Close()
	if _, err := r.next(); err == nil || err == io.EOF {
		t.Errorf("next() of a closed connection: %v", err)
	}
}
