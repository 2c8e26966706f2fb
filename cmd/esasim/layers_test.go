package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/esasim/esasim/"

// layers is the import policy, lowest layer first. A package may import packages of lower
// lines only, and none of its own line. Do not move a package to make a build pass.
const layers = `
	appliance/pattern
	appliance/clock appliance/entropy appliance/atomicfile appliance/pcapfilter appliance/scp appliance/refusal appliance/promtext appliance/assets appliance/network/netsim/topology fixtures
	appliance/tooltest
	appliance/browsertest appliance/check appliance/dissect appliance/config appliance/files appliance/product appliance/network appliance/events appliance/mta/queue
	appliance/tlsconfig
	appliance/mta/mailevents appliance/users appliance/netconfig appliance/resolver appliance/ntp appliance/dhcp appliance/logs/syslog appliance/logs/upload appliance/network/networktest appliance/network/netsim/ether
	appliance/metrics appliance/daemon appliance/network/netsim/vnet appliance/network/netsim/wan appliance/network/netsim/uplink appliance/capture appliance/logs
	appliance/mta/maillog appliance/mta/listener appliance/mta/pipeline appliance/network/netsim/peers appliance/network/netsim/door appliance/mail
	appliance/mta/delivery appliance/network/netsim appliance/alert
	appliance/mta appliance/traffic appliance/packets
	appliance
	shell transfer appliance/web
	shell/shelltest
	commands
	appliance/box
	appliance/fleet
	appliance/control appliance/bench
	appliance/appliancetest cmd/esasim
`

// modules lists which packages may import a third-party module, except in tests. A module
// that is not listed may not be imported.
var modules = map[string][]string{
	"github.com/alecthomas/kong":         {"cmd/esasim"},
	"github.com/jotaen/kong-completion":  {"cmd/esasim"},
	"github.com/alecthomas/mango-kong":   {"cmd/esasim"},
	"github.com/muesli/roff":             {"cmd/esasim"},
	"github.com/posener/complete":        {"cmd/esasim"},
	"github.com/coder/websocket":         {"appliance/bench"},
	"github.com/emersion/go-message":     {"appliance/network/netsim/peers"},
	"github.com/emersion/go-sasl":        {"appliance/network/netsim/peers"},
	"github.com/emersion/go-smtp":        {"appliance/network/netsim/peers"},
	"github.com/gliderlabs/ssh":          {"shell"},
	"github.com/goccy/go-yaml":           {"appliance/control", "appliance/network/netsim/topology"},
	"github.com/google/go-cmp":           {"appliance/network/networktest"},
	"github.com/gopacket/gopacket":       {"appliance/appliancetest", "appliance/network/networktest", "appliance/dissect", "appliance/packets"},
	"github.com/jlaffaye/ftp":            {"appliance/logs/upload"},
	"github.com/miekg/dns":               {"appliance/resolver", "appliance/network/netsim/peers"},
	"github.com/pkg/sftp":                {"transfer"},
	"goftp.io/server/v2":                 {"transfer"},
	"golang.org/x/crypto":                {"shell", "shell/shelltest", "appliance/users", "appliance/appliancetest", "appliance/network/netsim/peers", "appliance/logs/upload"},
	"golang.org/x/net":                   {"appliance/pcapfilter"},
	"golang.org/x/sys":                   {"appliance/network/netsim/ether", "appliance/network/netsim/uplink", "appliance/network/netsim/door", "cmd/esasim"},
	"golang.org/x/term":                  {"shell"},
	"software.sslmate.com/src/go-pkcs12": {"appliance/tlsconfig"},
	"gvisor.dev/gvisor":                  {"appliance/network/netsim/ether", "appliance/network/netsim/vnet"},
	"github.com/rogpeppe/go-internal":    nil,                       // tests only
	"github.com/getkin/kin-openapi":      nil,                       // tests only
	"github.com/prometheus":              nil,                       // tests only: client_golang, and the modules of its parser
	"github.com/chromedp":                {"appliance/browsertest"}, // chromedp, and cdproto, its protocol
}

func TestLayers(t *testing.T) {
	rank := map[string]int{}
	for i, line := range strings.Split(layers, "\n") {
		for _, p := range strings.Fields(line) {
			rank[p] = i
		}
	}
	for pkg, imports := range packages(t) {
		if _, ok := rank[pkg]; !ok {
			t.Errorf("%s has no layer", pkg)
		}
		for _, imp := range imports {
			if imp, ours := strings.CutPrefix(imp, module); ours && rank[imp] >= rank[pkg] {
				t.Errorf("%s imports %s, which is not below it", pkg, imp)
			}
		}
	}
}

// TestTheNetworkKnowsNoLogs: what a topology says about logs is data. Package box makes the
// appliance's configuration of it.
func TestNetworkDoesNotImportLogs(t *testing.T) {
	for pkg, imports := range packages(t) {
		if !strings.HasPrefix(pkg+"/", "appliance/network/") {
			continue
		}
		for _, imp := range imports {
			if logs := module + "appliance/logs"; imp == logs || strings.HasPrefix(imp, logs+"/") {
				t.Errorf("%s imports %s, but the network is below the appliance's logs", pkg, imp)
			}
		}
	}
}

func TestModules(t *testing.T) {
	used := map[string]bool{} // module and package
	for pkg, imports := range packages(t) {
		for _, imp := range imports {
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") || strings.HasPrefix(imp, module) {
				continue
			}
			m := moduleOf(imp)
			used[m+" "+pkg] = true
			if !slices.Contains(modules[m], pkg) {
				t.Errorf("%s may not import %s: see the table of modules", pkg, imp)
			}
		}
	}
	for m, pkgs := range modules {
		for _, pkg := range pkgs {
			if !used[m+" "+pkg] {
				t.Errorf("%s no longer imports %s: see the table of modules", pkg, m)
			}
		}
	}
}

// moduleOf returns the module in the table that contains the package imp.
func moduleOf(imp string) string {
	for m := range modules {
		if imp == m || strings.HasPrefix(imp, m+"/") {
			return m
		}
	}
	return imp
}

// packages returns the imports of each package of this module, except those of its tests, by
// the package's path below the module.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	pkgs := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		pkgs[strings.TrimPrefix(f[0], module)] = f[1:]
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list names only %d packages", len(pkgs))
	}
	return pkgs
}
