package web_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/web"
)

// Whatever the file of the page's certificate holds, a browser can connect, and sees the same
// certificate after the next start.
func FuzzCertificateFile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "gui.pem")
	log, random := slog.New(slog.DiscardHandler), entropy.System().Stream("key")
	if _, err := web.Certificate(file, random, []string{"10.0.202.7"}, log); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "gui.pem")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var first []byte
		for range 2 {
			cert, err := web.Certificate(file, random, []string{"10.0.202.7"}, log)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = cert.Certificate[0]
			}
			if !bytes.Equal(cert.Certificate[0], first) {
				t.Fatal("the next start has another certificate")
			}
			connect(t, cert)
		}
	})
}

// connect completes a handshake with a server that has this certificate.
func connect(t *testing.T, cert tls.Certificate) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	served := make(chan error, 1)
	go func() {
		s := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		served <- err
	}()
	c := tls.Client(a, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is self-signed
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}
