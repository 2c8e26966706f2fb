package capture_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/capture"
)

// Whatever the state file holds, the settings are valid, and no file outside the captures is
// touched.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"settings":{"size_mb":5,"interfaces":["Data 2"],"filter":{"kind":"predefined",` +
		`"ports":[25],"clients":["10.1.1.1"]}},"tcpdump":{"interface":"Data 1"},"running":"x"}`))
	f.Add([]byte(`{"settings":{"size_mb":900},"running":"../../precious"}`))
	f.Add([]byte(`{"settings":{"duration":-1,"filter":{"kind":"custom","expression":"tcp port"}}}`))
	f.Add([]byte(`[]`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		fx := newFixture(t, 0)
		fx.Close()
		if err := fx.store.WriteFile("data/pub/precious.cap", []byte("precious")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(fx.options.StateFile), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fx.options.StateFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
		fx.open()
		fx.MenuSettings()
		s := fx.Settings()
		s.Interfaces, s.Filter.Kind = nil, capture.NoFilter // may not exist, may not compile
		if err := fx.Check(s); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		got, err := os.ReadFile(filepath.Join(fx.dir, "files", "data/pub/precious.cap"))
		if string(got) != "precious" || err != nil {
			t.Fatalf("another file has %q, %v", got, err)
		}
	})
}

// The repair of a file leaves whole records only: what it keeps is a beginning of the file, and a
// second repair changes nothing.
func FuzzRepair(f *testing.F) {
	fx := newFixture(f, 0)
	fx.start(capture.CLI)
	for i := range 3 {
		fx.network.send("Data 1", frame(25, i, 80))
	}
	name := fx.stop(capture.CLI).File
	whole, err := os.ReadFile(filepath.Join(fx.dir, "files", diagnostic+name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(whole[:30])
	f.Add(append(bytes.Clone(whole[:24]), bytes.Repeat([]byte{0xff}, 20)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		fx := newFixture(t, 0)
		fx.Close()
		const file = "torn.cap"
		if err := fx.store.WriteFile(diagnostic+file, content); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(fx.dir, "files", diagnostic+file)
		var before []byte
		for range 2 {
			if err := os.MkdirAll(filepath.Dir(fx.options.StateFile), 0o700); err != nil {
				t.Fatal(err)
			}
			state := []byte(`{"settings":{"size_mb":5},"running":"torn"}`)
			if err := os.WriteFile(fx.options.StateFile, state, 0o600); err != nil {
				t.Fatal(err)
			}
			fx.open()
			after, err := os.ReadFile(path)
			if !bytes.HasPrefix(content, after) || (err == nil) != (len(content) >= 24) {
				t.Fatalf("%x became %x, %v", content, after, err)
			}
			if before != nil && !bytes.Equal(before, after) {
				t.Fatalf("%x became %x with the second repair", before, after)
			}
			before = after
		}
	})
}
