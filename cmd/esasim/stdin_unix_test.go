//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"testing"
)

func TestClosableInput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	in, err := newClosableInput(r)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "admin\n")
	b := make([]byte, 16)
	if n, err := in.Read(b); err != nil || string(b[:n]) != "admin\n" {
		t.Errorf("Read = %q, %v", b[:n], err)
	}
	ended := make(chan error)
	go func() {
		_, err := in.Read(b)
		ended <- err
	}()
	in.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("a blocked Read returned %v, want os.ErrClosed", err)
	}
	if _, err := in.Read(b); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close returned %v, want os.ErrClosed", err)
	}
	if err := in.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := io.WriteString(w, "left"); err != nil {
		t.Errorf("Close has closed the file: %v", err)
	}
}

// A file that has ended is read to its end.
func TestClosableInputEnds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	io.WriteString(w, "exit\n")
	w.Close()
	in, err := newClosableInput(r)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if text, err := io.ReadAll(in); err != nil || string(text) != "exit\n" {
		t.Errorf("read %q, %v", text, err)
	}
}
