package main

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"github.com/esasim/esasim/appliance/box"
	"github.com/esasim/esasim/fixtures"
)

// parseWords parses a command line of the program without running it.
func parseWords(t *testing.T, words []string) {
	t.Helper()
	parser, err := kong.New(&flags{}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(words); err != nil {
		t.Errorf("%q: %v", words, err)
	}
}

// deployFile decodes a file for an engine.
func deployFile(t *testing.T, name string, v any) {
	t.Helper()
	text, ok := fixtures.DeployFile(name)
	if !ok {
		t.Fatalf("there is no file %s", name)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// The back doors of the topology lead to the containers of the Compose file.
func TestComposeFile(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Command  []string
			Networks map[string]struct {
				Address netip.Addr `yaml:"ipv4_address"`
			}
		}
	}
	deployFile(t, "compose", &file)
	parseWords(t, file.Services["appliance"].Command)
	addresses := map[netip.Addr]string{}
	for name, s := range file.Services {
		addresses[s.Networks["net"].Address] = name
	}
	text, _ := fixtures.DeployFile("compose-topology")
	topo, err := box.LoadTopology("compose-topology.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	var led []string
	for _, d := range topo.Doors.Out {
		led = append(led, addresses[d.To])
	}
	if !slices.Equal(led, []string{"syslog", "mail"}) {
		t.Errorf("the back doors lead to %q, want the syslog and the mail server", led)
	}
}

// The command lines in the files are command lines of the program.
func TestDeployedCommandLines(t *testing.T) {
	var lab struct {
		Topology struct {
			Nodes map[string]struct{ Cmd string }
			Links []struct{ Endpoints []string }
		}
	}
	deployFile(t, "containerlab", &lab)
	words := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(lab.Topology.Nodes["esa"].Cmd, -1)
	for i := range words {
		words[i] = strings.Trim(words[i], `"`)
	}
	parseWords(t, words)
	for _, link := range lab.Topology.Links {
		for _, end := range link.Endpoints {
			node, _, _ := strings.Cut(end, ":")
			if _, ok := lab.Topology.Nodes[node]; !ok {
				t.Errorf("a link ends at %s, but there is no such node", end)
			}
		}
	}

	text, _ := fixtures.DeployFile("kubernetes")
	args := regexp.MustCompile(`(?s)args:\n(.*?)env:`).FindSubmatch(text)
	if args == nil {
		t.Fatal("the file for Kubernetes has no arguments")
	}
	words = nil
	for line := range strings.Lines(string(args[1])) {
		if _, word, ok := strings.Cut(line, "- "); ok {
			word = strings.NewReplacer("$(ORDINAL)", "0", "$(SHARDS)", "2").Replace(strings.TrimSpace(word))
			words = append(words, word)
		}
	}
	parseWords(t, words)
}
