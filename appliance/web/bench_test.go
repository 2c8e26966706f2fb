package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// BenchmarkPages serves each page once.
func BenchmarkPages(b *testing.B) {
	s := newTestSite(b)
	w := s.login("admin")
	s.store("a.cap", manyPackets(5000))
	view := capturesPath + "/view/a.cap"
	for name, target := range map[string]string{
		"login": "/login", "status": "/monitor/system_status", "captures": capturesPath,
		"settings": capturesPath + "/settings",
		"packets":  view + "?page=20", "filtered": view + "?filter=udp+port+1001&page=3",
		"packet": view + "/packet/4000",
		"logs":   logsPath, "alerts": alertsPath,
		"help": "/help_and_support/online_help?search=packet+capture",
	} {
		visitor := w
		if name == "login" {
			visitor = s.browser()
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := visitor.get(target); r.Code != http.StatusOK {
					b.Fatal(r.Code)
				}
			}
		})
	}
}

// BenchmarkRefresh is the request that the capture page sends every second while a capture is in
// progress.
func BenchmarkRefresh(b *testing.B) {
	s := newTestSite(b)
	w := s.login("admin")
	w.post(capturesPath + "/start")
	for b.Loop() {
		if r := w.get(capturesPath + "/status"); r.Code != http.StatusOK {
			b.Fatal(r.Code)
		}
	}
}

// BenchmarkTwoHundredWatch is the requests of 200 capture pages during one second.
func BenchmarkTwoHundredWatch(b *testing.B) {
	s := newTestSite(b)
	var all []*browser
	for range 200 {
		all = append(all, s.login("admin"))
	}
	all[0].post(capturesPath + "/start")
	for b.Loop() {
		var wg sync.WaitGroup
		for _, w := range all {
			wg.Go(func() {
				if r := w.get(capturesPath + "/status"); r.Code != http.StatusOK {
					b.Error(r.Code)
				}
			})
		}
		wg.Wait()
	}
}

// manyPackets returns a capture of n UDP packets of 800 bytes, to ports 1000 and 1001 in turn.
func manyPackets(n int) []byte {
	const length = 800
	var b bytes.Buffer
	le := binary.LittleEndian
	h := le.AppendUint32(nil, 0xa1b2c3d4)
	h = append(h, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	h = le.AppendUint32(h, 262144)
	b.Write(le.AppendUint32(h, 1))
	frame := make([]byte, length)
	copy(frame[12:], []byte{0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17})
	binary.BigEndian.PutUint16(frame[16:], length-14)
	copy(frame[26:], []byte{10, 0, 202, 7, 10, 0, 201, 4})
	binary.BigEndian.PutUint16(frame[34:], 40000)
	binary.BigEndian.PutUint16(frame[38:], length-34)
	for i := range n {
		binary.BigEndian.PutUint16(frame[36:], uint16(1000+i%2))
		r := le.AppendUint32(nil, 1_435_222_203+uint32(i/1000))
		r = le.AppendUint32(r, uint32(i%1000)*1000)
		r = le.AppendUint32(r, length)
		b.Write(le.AppendUint32(r, length))
		b.Write(frame)
	}
	return b.Bytes()
}

// BenchmarkLargeCapture opens 200 MB. The first page makes the index, later ones use it.
func BenchmarkLargeCapture(b *testing.B) {
	s := newTestSite(b)
	w := s.login("admin")
	s.store("large.cap", manyPackets(200<<20/816))
	view := capturesPath + "/view/large.cap"
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s.site.indexes.forget()
			expectPage(b, w.get(view), http.StatusOK, "257,003 packets in")
		}
	})
	b.Run("last page", func(b *testing.B) {
		for b.Loop() {
			expectPage(b, w.get(view+"?page=99999"), http.StatusOK, "257003</a>")
		}
	})
	b.Run("new filter", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			expectPage(b, w.get(fmt.Sprintf("%s?filter=udp+port+1001+and+len+%%3E+%d", view, n)),
				http.StatusOK, "128,501 of 257,003 packets")
		}
	})
}
