package appliancetest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/network/netsim/topology"
)

// A test waits for what happens, and resets the box for the next one.
func TestWaitAndReset(t *testing.T) {
	box := appliancetest.Start(t, appliancetest.Faults(topology.Rule{Action: "drop", Path: "google"}))
	box.WaitFor(t, "boot", "")
	for range 2 {
		cursor := box.Cursor()
		box.Exec("version")
		if got := box.WaitSince(t, cursor, "log", "entered 'version'"); got.Event == nil || got.Cursor <= cursor {
			t.Errorf("%+v", got)
		}
		box.Faults().Clear()
		box.Reset(t)
		if list := box.Faults().List(); len(list) != 1 || list[0].Rule.Path != "google" {
			t.Errorf("faults after the reset: %+v", list)
		}
	}
}

// Importing this package links no module for web pages, databases or command lines: what describes
// the control API and what a program needs stays in other packages.
func TestFewModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for module := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{
			"github.com/getkin/", "github.com/prometheus/", "github.com/coder/websocket", "modernc.org/",
			"github.com/alecthomas/", "k8s.io/", "sigs.k8s.io/", "github.com/swaggo/", "github.com/swagger-api/", "github.com/chromedp/",
			"github.com/jotaen/", "github.com/mattn/go-sqlite3",
		} {
			if strings.HasPrefix(module, heavy) {
				t.Errorf("the package needs %s", module)
			}
		}
	}
	list, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(list)) {
		for _, heavy := range []string{"appliance/control", "appliance/bench", "appliance/fleet"} {
			if strings.HasSuffix(pkg, "esasim/"+heavy) {
				t.Errorf("the package needs %s", pkg)
			}
		}
	}
}
