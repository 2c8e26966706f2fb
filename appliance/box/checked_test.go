package box_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/check"
	"github.com/esasim/esasim/appliance/events"
	"github.com/esasim/esasim/appliance/network"
)

// A watchedRun records and captures what a box does, so that package check can look for
// contradictions.
type watchedRun struct {
	box       *box.Box
	record    notebook
	recording *box.Recording
	cancel    func()

	mu     sync.Mutex
	wires  []*wire
	number int
}

// A wire captures the frames of all interfaces of one appliance that has booted.
type wire struct {
	started  capture.Started
	event    uint64
	mu       sync.Mutex
	file     bytes.Buffer
	writer   *pcapgo.Writer
	frames   uint64
	stopping bool
	taps     []network.Tap
}

// watchRun begins to record a box. It must be called before Start.
func watchRun(b *box.Box) *watchedRun {
	w := &watchedRun{box: b}
	w.recording = b.Record(&w.record)
	w.cancel = b.EventStream().Subscribe(w.handle, "appliance")
	return w
}

// handle ends the capture when the appliance goes down: all that has happened is in it.
func (w *watchedRun) handle(e events.Event) {
	if e.Fields.Kind() != "appliance.down" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.wires {
		if !x.stopping {
			x.stopping = true
			events.Follow(w.box.EventStream(), x.event, capture.Stopping{File: x.started.File, Side: x.started.Side})
		}
	}
}

// tap captures the frames of the current appliance. It must be called after Start, and after each
// reboot.
func (w *watchedRun) tap() error {
	w.mu.Lock()
	w.number++
	x := &wire{started: capture.Started{File: fmt.Sprintf("wire-%d.pcap", w.number), Side: "test"}}
	w.mu.Unlock()
	x.writer = pcapgo.NewWriterNanos(&x.file)
	if err := x.writer.WriteFileHeader(1<<18, layers.LinkTypeEthernet); err != nil {
		return err
	}
	n := w.box.Appliance().Net
	for _, i := range n.Interfaces() {
		if i.Loopback || i.Parent != "" { // a card shows the frames of its VLANs
			continue
		}
		t, err := n.Tap(network.TapConfig{Interface: i.Name, Sink: x.write})
		if err != nil {
			return err
		}
		x.taps = append(x.taps, t)
	}
	x.event = events.Publish(w.box.EventStream(), 0, x.started)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wires = append(w.wires, x)
	return nil
}

func (x *wire) write(f network.Frame) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.frames++
	_ = x.writer.WritePacket(gopacket.CaptureInfo{
		Timestamp: f.Time, CaptureLength: len(f.Data), Length: f.WireLen,
	}, f.Data)
}

// finish returns what the run has left. It must be called once, after Stop.
func (w *watchedRun) finish(dir string) (*check.Run, error) {
	w.cancel()
	for _, x := range w.wires {
		for _, t := range x.taps {
			t.Close()
		}
		events.Publish(w.box.EventStream(), x.event, capture.Ended{
			File: x.started.File, Side: x.started.Side, Reason: "the test ended", Packets: x.frames,
			Size: int64(x.file.Len()), Whole: true,
		})
	}
	if err := w.recording.Stop(); err != nil {
		return nil, err
	}
	return w.left(dir)
}

// left reads what the run has left: the record, the captures of the wires, and those in the file
// area of the box with the directory dir.
func (w *watchedRun) left(dir string) (*check.Run, error) {
	run := &check.Run{}
	var err error
	if run.Record, err = check.ReadRecord("record", strings.NewReader(w.record.text.String())); err != nil {
		return nil, err
	}
	for _, x := range w.wires {
		c, err := check.ReadCapture(x.started.File, bytes.NewReader(x.file.Bytes()))
		if err != nil {
			return nil, err
		}
		run.Captures = append(run.Captures, c)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".cap" && !strings.Contains(d.Name(), ".@") || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) != ".cap" {
			f, err := check.ReadLog(path, bytes.NewReader(data))
			run.Logs = append(run.Logs, f)
			return err
		}
		c, err := check.ReadCapture(path, bytes.NewReader(data))
		if err != nil {
			return err
		}
		run.Captures = append(run.Captures, c)
		return nil
	})
	return run, err
}

// contradictions returns an error that lists what a report has found; nil if it has found nothing.
func contradictions(r *check.Report) error {
	var errs []error
	for _, c := range r.Contradictions {
		text := fmt.Sprintf("%d %s: %s", c.Invariant, c.Name, c.Text)
		for _, w := range c.Witnesses {
			text += "\n    " + w.String()
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// keepRun writes the record and the captures of a run to a directory.
func keepRun(w *watchedRun, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, "record.jsonl"), w.record.text.Bytes(), 0o644)}
	for _, x := range w.wires {
		errs = append(errs, os.WriteFile(filepath.Join(dir, x.started.File), x.file.Bytes(), 0o644))
	}
	return errors.Join(errs...)
}
